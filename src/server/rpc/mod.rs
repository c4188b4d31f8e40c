//! What every call passes on its way to its service, from the outside to the inside: it
//! is counted and traced, a panic becomes a status, only admitted calls go on, and all
//! within the deadline.
//!
//! - `admission`: what is decided before a service has the call
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

mod admission;
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

use std::{convert::Infallible, future::ready, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use opentelemetry::context::FutureExt as _;
use tokio::time::timeout_at;
use tonic::{body::Body, codegen::BoxFuture};
use tracing::Instrument as _;

use super::{
    config::{Deadlines, Doors, Limits},
    metrics::ServerMetrics,
};
use crate::{
    access::Access,
    call::{
        Peer,
        context::{Gate, ItemObserver},
    },
    status::{self, Draft},
    telemetry::trace,
};
use call::Call;
use items::Items;
use protocol::Form;
use refusals::Refusals;
use reply::Reply;
use request_body::RequestBody;
use response_body::{Bounds, ResponseBody};
use services::{Answering, Services};
use timeout::HEAD_START;
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

/// A call that its service answers, and what bounds it.
struct Begun {
    answering: Answering,
    bounds: Bounds,
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
    ///
    /// All up to its service is done here, and not by the future: a request is large, and each
    /// future that it goes through has room for it and copies it.
    pub(super) fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: &Peer,
        usage: &Arc<Usage>,
    ) -> BoxFuture<Response<Reply>, Infallible> {
        let origin = browsers::origin(&request, &self.doors);
        if let Some(answer) = browsers::preflight(&request, origin.as_ref()) {
            return Box::pin(ready(Ok(answer)));
        }
        // The tasks of HTTP/2 count the calls of their connection.
        let is_http1 = request.version() < Version::HTTP_2;
        let active = is_http1.then(|| usage.calls.begin());
        let parent = trace::context_of(request.headers());
        let form = Form::of(request.headers());
        let dialect = form.map(Form::dialect);
        let Shared {
            metrics, refusals, ..
        } = &self.shared;
        let call = Call::start(metrics, refusals, &request, dialect, &parent, peer);
        let is_gzip = form.is_some_and(|form| form.wants_gzip(request.headers()));
        let version = request.version();
        let request = request.map(|body| RequestBody::new(body, version, call.record().clone()));
        let begun = self.begin(request, form, &call, peer, usage);
        Box::pin(async move {
            let answer = match begun {
                Err(refusal) => (*refusal).into(),
                Ok(begun) => {
                    // The client's trace context is outermost, so that the span takes its place
                    // where spans have contexts.
                    let answer = begun.answer().instrument(call.span().clone());
                    let answer = AssertUnwindSafe(answer).catch_unwind().with_context(parent);
                    let answer = answer.await.unwrap_or_else(|_| Err(self.panicked()));
                    answer.unwrap_or_else(|draft| response(draft, &call).into())
                }
            };
            if let (Some(guard), Some(denial)) = (&self.guard, call.record().denial()) {
                guard.access.count(denial, call.record().caller());
            }
            let (policy, metrics) = (call.policy(), &self.shared.metrics);
            let Answer { response, bounds } = answer;
            let response = ResponseBody::respond(response, call, bounds, active, metrics);
            let mut response = match form {
                None | Some(Form::Grpc) => Reply::grpc(response, is_gzip),
                Some(Form::Web { is_text }) => Reply::web(response, is_text, is_gzip),
                Some(Form::Connect(codec)) => {
                    Box::pin(connect::respond(response, codec, policy, is_gzip)).await
                }
            };
            if let Some(origin) = origin {
                browsers::let_read(response.headers_mut(), origin);
            }
            Ok(response)
        })
    }

    /// The status of a call that panicked.
    fn panicked(&self) -> Draft {
        self.shared.metrics.panicked();
        status::panicked()
    }
}

impl Begun {
    /// Waits for the answer of the service until the call's deadline.
    async fn answer(self) -> Result<Answer, Draft> {
        let Self { answering, bounds } = self;
        let Ok(response) = match bounds.due {
            Some(deadline) => timeout_at(deadline + HEAD_START, answering)
                .await
                .map_err(|_| timeout::exceeded())?,
            None => answering.await,
        };
        Ok(Answer { response, bounds })
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

/// The response with the status of a call.
fn response(draft: Draft, call: &Call) -> Response<Body> {
    draft.into_status(call.record().id()).into_http()
}
