//! What every call passes on its way to its service, from the outside to the inside: it
//! is counted and traced, a panic becomes a status, only admitted calls go on, and all
//! within the deadline.
//!
//! - `call`: the record of a call, from its headers to its end
//! - `refusals`: calls that are not let in
//! - `reply`: the body of a response, in the form that its client reads
//! - `connect`: responses of Connect
//! - `response_body`: the response of a call, and what ends it
//! - `browsers`: what web pages may do
//! - `request_body`: the request message
//! - `translation`: requests of other forms, made into those of gRPC
//! - `json`, `gzip`: messages in JSON, and compressed
//! - `terms`: what the body of a request may take
//! - `messages`: the messages in a body
//! - `usage`: what connections and their calls take of the server
//! - `timeout`: the deadline that a client sets
//! - `items`: what is counted of the items of streams
//! - `protocol`: what is a call, and how it is spoken
//! - [`services`]: the services by their names
//! - `health`: the health service

mod browsers;
mod call;
mod connect;
mod gzip;
pub(super) mod health;
mod items;
mod json;
mod messages;
mod protocol;
pub(super) mod refusals;
pub(super) mod reply;
pub mod request_body;
mod response_body;
pub mod services;
mod terms;
mod timeout;
mod translation;
pub(super) mod usage;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, Version, header::AUTHORIZATION};
use hyper::body::Incoming;
use opentelemetry::context::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tracing::Instrument as _;

use super::{
    config::{Deadlines, Doors, Limits, MAX_HEALTH_REQUEST_BYTES, MAX_REFLECTION_REQUEST_BYTES},
    metrics::ServerMetrics,
};
use crate::{
    access::{Access, Admitted, Standing},
    call::{
        Context, Denial, Memory, Peer, Policy, Record,
        context::{Due, Gate, ItemObserver},
        policy::Audience,
    },
    status::{self, Draft},
    telemetry::trace,
};
use call::Call;
use health::Watches;
use items::Items;
use protocol::Form;
use refusals::Refusals;
use reply::Reply;
use request_body::RequestBody;
use response_body::{Bounds, ResponseBody};
use services::Services;
use terms::{Pauses, Terms};
use timeout::HEAD_START;
use translation::Translation;
use usage::{Budget, Usage};

/// What every call of a port passes, and the services behind it.
pub(super) struct Stack {
    services: Services,
    doors: Doors,
    /// Who may make which call. `None` if everyone may make every call.
    guard: Option<Guard>,
    budget: Arc<Budget>,
    shared: Shared,
}

/// What the ports of a server have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) deadlines: Deadlines,
    pub(super) limits: Limits,
    pub(super) metrics: ServerMetrics,
    pub(super) refusals: Refusals,
}

struct Guard {
    access: Access,
    gate: Arc<dyn Gate>,
    observer: Arc<dyn ItemObserver>,
}

/// A response, and what bounds it.
struct Answer {
    response: Response<Body>,
    bounds: Bounds,
}

impl Stack {
    /// Services for calls that `access` admits.
    pub(super) fn guarded(
        services: Services,
        doors: Doors,
        access: Access,
        shared: Shared,
    ) -> Self {
        let observer = Items {
            access: access.clone(),
            refusals: shared.refusals.clone(),
            metrics: shared.metrics.clone(),
        };
        let guard = Guard {
            gate: Arc::new(access.clone()),
            access,
            observer: Arc::new(observer),
        };
        Self {
            services,
            doors,
            guard: Some(guard),
            budget: Arc::new(Budget::of_grpc(&shared.limits, &shared.metrics)),
            shared,
        }
    }

    /// Services for everyone, by gRPC.
    pub(super) fn open(services: Services, shared: Shared) -> Self {
        Self {
            services,
            doors: Doors::of_grpc(),
            guard: None,
            budget: Arc::new(Budget::of_health(&shared.limits, &shared.metrics)),
            shared,
        }
    }

    /// The usage of a new connection.
    pub(super) fn open_usage(&self) -> Usage {
        self.budget.open()
    }

    /// Whether HTTP/1.1 is spoken.
    pub(super) fn speaks_http1(&self) -> bool {
        self.doors.speaks_http1()
    }

    /// Answers a call of a peer.
    pub(super) async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        usage: Arc<Usage>,
    ) -> Response<Reply> {
        let origin = browsers::origin(&request, &self.doors);
        if let Some(answer) = browsers::preflight(&request, origin.as_ref()) {
            return answer;
        }
        // The tasks of HTTP/2 count the calls of their connection.
        let is_http1 = request.version() < Version::HTTP_2;
        let active = is_http1.then(|| usage.calls.begin());
        let parent = trace::context_of(request.headers());
        let Shared {
            metrics, refusals, ..
        } = &self.shared;
        let form = Form::of(request.headers());
        let dialect = form.map(Form::dialect);
        let call = Call::start(metrics, refusals, &request, dialect, &parent, &peer);
        let (record, policy) = (call.record().clone(), call.policy());
        let is_gzip = form.is_some_and(|form| form.wants_gzip(request.headers()));
        let version = request.version();
        let request = request.map(|body| RequestBody::new(body, version, record.clone()));
        let answer = match self.open_door(&request, form, policy) {
            Err(refusal) => Ok((*refusal).into()),
            Ok(form) => {
                let answer = self.answer(request, form, policy, &peer, &usage, &record);
                // The client's trace context is outermost, so that the span takes its place
                // where spans have contexts.
                let answer = AssertUnwindSafe(answer.instrument(call.span().clone()))
                    .catch_unwind()
                    .with_context(parent);
                answer.await.unwrap_or_else(|_| {
                    metrics.panicked();
                    Err(status::panicked())
                })
            }
        };
        if let (Some(guard), Some(denial)) = (&self.guard, record.denial()) {
            guard.access.count(denial, record.caller());
        }
        let answer =
            answer.unwrap_or_else(|draft| draft.into_status(record.id()).into_http().into());
        let Answer { response, bounds } = answer;
        let response = ResponseBody::respond(response, call, bounds, active, metrics);
        let mut response = reply(response, form, policy, is_gzip).await;
        if let Some(origin) = origin {
            browsers::let_read(response.headers_mut(), origin);
        }
        response
    }

    /// The form of a call. What is no call, or one that a web page must not make, is refused.
    fn open_door(
        &self,
        request: &Request<RequestBody>,
        form: Option<Form>,
        policy: Option<&'static Policy>,
    ) -> Result<Form, Box<Response<Body>>> {
        if let Some(refusal) = protocol::refuse(request, form, policy, &self.doors) {
            return Err(refusal.into());
        }
        let form = form.unwrap_or(Form::Grpc);
        if form == Form::Grpc {
            return Ok(form);
        }
        let guard = self.guard.as_ref();
        let is_open = guard.is_some_and(|guard| guard.access.callers().is_empty());
        match browsers::refuse(request, &self.doors, is_open) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(form),
        }
    }

    /// Admits a call, and has its service answer it in time.
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        form: Form,
        policy: Option<&'static Policy>,
        peer: &Peer,
        usage: &Arc<Usage>,
        record: &Record,
    ) -> Result<Answer, Draft> {
        let standing = self.guard.as_ref().zip(policy);
        let standing =
            standing.and_then(|(it, policy)| it.access.standing(policy, request.headers(), peer));
        let admitted = self
            .admit(&mut request, policy, record)
            .inspect_err(|denial| record.denied(denial.clone()))
            .map_err(|denial| status::denied(&denial))?;
        let Some(policy) = policy else {
            return Err(status::unknown_method(request.uri().path()));
        };
        let due = due(self.shared.deadlines, policy, form, request.headers())?;
        let memory = self
            .budget
            .take(usage, admitted.is_some(), policy, request.headers())
            .map_err(|_| status::request_memory())?;
        let translation = Translation::of(form, policy, request.headers_mut())?;
        let terms = self.terms(policy, memory.clone());
        request.body_mut().admit(terms, translation);
        let bounds = Bounds {
            due: due.of_call(),
            revoked: standing.map(Standing::revoked),
            active: admitted.as_ref().map(|_| usage.calls_of_callers.begin()),
            memory: Some(memory.clone()),
        };
        if let (Some(admitted), Some(guard)) = (admitted, &self.guard) {
            let context = Context {
                policy,
                caller: admitted.caller,
                app: admitted.app,
                due,
                record: record.clone(),
                peer: peer.clone(),
                memory,
                gate: Arc::clone(&guard.gate),
                observer: Arc::clone(&guard.observer),
                slot: None,
            };
            request.extensions_mut().insert(context);
        } else {
            request.extensions_mut().insert(record.id().clone());
            let watches = Watches::new(&self.budget, usage);
            request.extensions_mut().insert(watches);
        }
        let response = self.serve(policy, request, due.of_call()).await?;
        Ok(Answer { response, bounds })
    }

    /// Has the service of a call answer it in time.
    async fn serve(
        &self,
        policy: &Policy,
        request: Request<RequestBody>,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Draft> {
        let response = self.services.call(policy, request);
        let response = match deadline {
            Some(deadline) => timeout_at(deadline + HEAD_START, response)
                .await
                .map_err(|_| timeout::exceeded())?,
            None => response.await,
        };
        response.ok_or_else(|| status::unknown_method(policy.name()))
    }

    /// What the body of a call may take.
    fn terms(&self, policy: &Policy, memory: Memory) -> Terms {
        Terms {
            memory,
            max_bytes: match policy.audience {
                Audience::Callers => self.shared.limits.max_request_bytes,
                Audience::Tools => MAX_REFLECTION_REQUEST_BYTES,
                Audience::Everyone => MAX_HEALTH_REQUEST_BYTES,
            },
            timeout: self.shared.limits.request_body_timeout,
            pauses: match policy.audience {
                _ if !policy.is_client_streaming => Pauses::Never,
                Audience::Callers => Pauses::Always,
                Audience::Tools | Audience::Everyone => Pauses::AfterFirst,
            },
        }
    }

    /// No call of the contract is admitted without a caller and an app.
    fn admit(
        &self,
        request: &mut Request<RequestBody>,
        policy: Option<&'static Policy>,
        record: &Record,
    ) -> Result<Option<Admitted>, Denial> {
        let Some(guard) = &self.guard else {
            return Ok(None);
        };
        let admitted = guard.access.admit(policy, request.headers(), record);
        // The key is no concern of the services.
        request.headers_mut().remove(AUTHORIZATION);
        admitted
    }
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            bounds: Bounds::default(),
        }
    }
}

/// A response in the form of its request.
async fn reply(
    response: Response<ResponseBody>,
    form: Option<Form>,
    policy: Option<&'static Policy>,
    is_gzip: bool,
) -> Response<Reply> {
    match form {
        None | Some(Form::Grpc) => Reply::grpc(response, is_gzip),
        Some(Form::Web { is_text }) => Reply::web(response, is_text, is_gzip),
        Some(Form::Connect(codec)) => connect::respond(response, codec, policy, is_gzip).await,
    }
}

/// By when a call must be answered. A stream has no deadline but its client's.
fn due(
    deadlines: Deadlines,
    policy: &Policy,
    form: Form,
    headers: &HeaderMap,
) -> Result<Due, Draft> {
    let timeout = timeout::of(form, headers)?;
    let Deadlines { default, longest } = deadlines;
    Ok(if policy.is_streaming {
        Due::Item {
            timeout: default,
            stream: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    } else {
        Due::Call(Instant::now() + timeout.unwrap_or(default).min(longest))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_the_clients_the_default_or_the_longest() {
        let deadlines = Deadlines {
            default: Duration::from_secs(15),
            longest: Duration::from_mins(1),
        };
        let of = |rpc: &str, timeout: Option<&'static str>| {
            let header = timeout.map(HeaderValue::from_static);
            let headers =
                header.map(|value| (http::HeaderName::from_static("grpc-timeout"), value));
            let policy = Policy::of_path(rpc).unwrap();
            let headers = headers.into_iter().collect();
            let due = due(deadlines, policy, Form::Grpc, &headers).unwrap();
            due.of_call().map(|deadline| deadline - Instant::now())
        };
        let unary = "/mesibo.v1.UserService/ListUsers";
        assert_eq!(of(unary, None), Some(deadlines.default));
        assert_eq!(of(unary, Some("30S")), Some(Duration::from_secs(30)));
        assert_eq!(of(unary, Some("2H")), Some(deadlines.longest));
        let stream = "/grpc.health.v1.Health/Watch";
        assert_eq!(of(stream, None), None);
        assert_eq!(of(stream, Some("2H")), Some(Duration::from_hours(2)));
    }
}
