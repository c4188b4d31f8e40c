//! What every call passes on its way to its service, from the outside to the inside: it
//! is counted and traced, a panic becomes a status, only admitted calls go on, and all
//! within the deadline.
//!
//! - `call`: the record of a call, from its headers to its end
//! - `response_body`: the response of a call, and what ends it
//! - `request_body`: the request message
//! - `timeout`: the deadline that a client sets
//! - [`services`]: the services by their names
//! - `health`: the health service

mod call;
pub(super) mod health;
pub mod request_body;
mod response_body;
pub mod services;
mod timeout;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper::body::Incoming;
use opentelemetry::context::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tracing::Instrument as _;

use super::{config::Deadlines, metrics::ServerMetrics};
use crate::{
    access::{Access, Admitted},
    call::{
        Context, Denial, Peer, Policy, Record,
        context::{Due, Gate},
    },
    status::{self, Draft},
    telemetry::trace,
};
use call::Call;
use request_body::RequestBody;
use response_body::ResponseBody;
use services::Services;
use timeout::HEAD_START;

/// What every call of a port passes, and the services behind it.
pub(super) struct Stack {
    services: Services,
    /// `None` if everyone may make every call.
    guard: Option<Guard>,
    deadlines: Deadlines,
    metrics: ServerMetrics,
}

struct Guard {
    access: Access,
    gate: Arc<dyn Gate>,
}

/// What a call's response needs to end well.
struct Answer {
    response: Response<Body>,
    due: Option<Instant>,
}

impl Stack {
    /// Services for calls that `access` admits.
    pub(super) fn guarded(
        services: Services,
        access: Access,
        deadlines: Deadlines,
        metrics: ServerMetrics,
    ) -> Self {
        let gate: Arc<dyn Gate> = Arc::new(access.clone());
        Self {
            services,
            guard: Some(Guard { access, gate }),
            deadlines,
            metrics,
        }
    }

    /// Services for everyone.
    pub(super) fn open(services: Services, deadlines: Deadlines, metrics: ServerMetrics) -> Self {
        Self {
            services,
            guard: None,
            deadlines,
            metrics,
        }
    }

    /// Answers a call of a peer.
    pub(super) async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let parent = trace::context_of(request.headers());
        let call = Call::start(&self.metrics, &request, &parent);
        let record = call.record().clone();
        let request = request.map(|body| RequestBody::new(body, record.clone()));
        let answer = if is_grpc(request.headers()) {
            let answer = self.answer(request, call.policy(), &peer, &record);
            // The client's trace context is outermost, so that the span takes its place
            // where spans have contexts.
            let answer = AssertUnwindSafe(answer.instrument(call.span().clone()))
                .catch_unwind()
                .with_context(parent);
            answer.await.unwrap_or_else(|_| {
                self.metrics.panicked();
                Err(status::panicked())
            })
        } else {
            Ok(not_grpc().into())
        };
        let answer = answer.unwrap_or_else(|draft| {
            if let (Some(guard), Some(denial)) = (&self.guard, record.denial()) {
                guard.access.count(denial);
            }
            draft.into_status(record.id()).into_http().into()
        });
        ResponseBody::respond(answer.response, call, answer.due, &self.metrics)
    }

    /// Admits a call, and has its service answer it in time.
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        policy: Option<&'static Policy>,
        peer: &Peer,
        record: &Record,
    ) -> Result<Answer, Draft> {
        let admitted = self
            .admit(&mut request, policy, peer)
            .inspect_err(|denial| record.denied(denial.clone()))
            .map_err(|denial| status::denied(&denial))?;
        let Some(policy) = policy else {
            return Err(status::unknown_method(request.uri().path()));
        };
        let due = due(self.deadlines, policy, request.headers())?;
        let deadline = due.of_call();
        match (admitted, &self.guard) {
            (Some(admitted), Some(guard)) => {
                record.admitted(&admitted.caller, &admitted.app.name);
                let context = Context {
                    policy,
                    caller: admitted.caller,
                    app: admitted.app,
                    due,
                    record: record.clone(),
                    peer: peer.clone(),
                    gate: Arc::clone(&guard.gate),
                    slot: None,
                };
                request.extensions_mut().insert(context);
            }
            _ => {
                request.extensions_mut().insert(record.id().clone());
            }
        }
        let response = self.services.call(policy, request);
        let response = match deadline {
            Some(deadline) => timeout_at(deadline + HEAD_START, response)
                .await
                .map_err(|_| timeout::exceeded())?,
            None => response.await,
        };
        let response = response.ok_or_else(|| status::unknown_method(policy.name()))?;
        Ok(Answer {
            response,
            due: deadline,
        })
    }

    /// No call of the contract is admitted without a caller and an app.
    fn admit(
        &self,
        request: &mut Request<RequestBody>,
        policy: Option<&'static Policy>,
        peer: &Peer,
    ) -> Result<Option<Admitted>, Denial> {
        let Some(guard) = &self.guard else {
            return Ok(None);
        };
        let admitted = guard.access.admit(policy, request.headers(), peer);
        // The key is no concern of the services.
        request.headers_mut().remove(AUTHORIZATION);
        admitted
    }
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            due: None,
        }
    }
}

/// By when a call must be answered. A stream has no deadline but its client's.
fn due(deadlines: Deadlines, policy: &Policy, headers: &HeaderMap) -> Result<Due, Draft> {
    let timeout = timeout::of(headers)?;
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

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The response that gRPC's doc/PROTOCOL-HTTP2.md wants for a request that is not gRPC.
fn not_grpc() -> Response<Body> {
    let text = "this port speaks gRPC: the content type must begin with application/grpc\n";
    let mut response = Response::new(Body::new(text.to_owned()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let text_type = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text_type);
    response
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
            let due = due(deadlines, policy, &headers.into_iter().collect()).unwrap();
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
