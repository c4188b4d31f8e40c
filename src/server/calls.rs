//! Every call from its headers to its end: counted, timed, traced and logged, once,
//! whatever ends it.
//!
//! A call may end by trailers, by headers alone, by a reset of its stream, or by the loss
//! of its connection, which both drop what is there of it.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::SERVER};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use opentelemetry::{Context, context::FutureExt as _, trace};
use tonic::{Code, Status, body::Body, server::NamedService as _};
use tonic_health::pb::health_server::HealthServer;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    drain::RequestBody,
    metrics::{Metrics, Started, name},
    request_id::RequestId,
    statuses::{Completion, code},
};
use crate::{record::Record, telemetry};

/// What a response says of the program that gave it.
const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A call that is not over. It was cancelled if it is dropped before it is.
struct Call {
    started: Option<Started>,
    record: Record,
    span: Span,
}

/// The body of a response, which ends its call.
pub(super) struct CallBody {
    body: Body,
    completion: Completion,
    call: Call,
}

/// The layer.
pub(super) async fn layer<F: Future<Output = Response<Body>>>(
    metrics: &Metrics,
    request: Request<Incoming>,
    next: impl FnOnce(Request<RequestBody>, Record) -> F,
) -> Response<CallBody> {
    let started = metrics.start(request.uri().path());
    let id = RequestId::of(request.headers());
    let parent = telemetry::context_of(request.headers());
    let mut call = Call {
        span: span(&started, &id, &parent),
        started: Some(started),
        record: Record::default(),
    };
    let completion = Completion {
        uri: request.uri().clone(),
        id,
    };
    let request = request.map(|body| RequestBody::new(body, call.record.clone()));
    // Outermost the caller's context, so that the span's takes its place, if spans have
    // contexts.
    let response = next(request, call.record.clone()).instrument(call.span.clone());
    let mut response = response.with_context(parent).await;
    if let Some(status) = completion.of(response.headers()) {
        response = status.into_http();
    }
    completion.id.write(response.headers_mut());
    let version = HeaderValue::from_static(VERSION);
    response.headers_mut().insert(SERVER, version);
    if let Some(code) = code(response.headers()) {
        call.finish(code);
    } else if !response.status().is_success() {
        // It was not gRPC.
        call.finish(Code::Unknown);
    }
    response.map(|body| CallBody {
        body,
        completion,
        call,
    })
}

/// The span of a call: its id for the log, and what OpenTelemetry's conventions for RPC
/// want for traces.
fn span(started: &Started, id: &RequestId, parent: &Context) -> Span {
    let is_traced = telemetry::is_traced();
    let span = tracing::info_span!(
        "call",
        request_id = id.as_str(),
        otel.name = is_traced.then(|| started.rpc()),
        otel.kind = is_traced.then_some("server"),
    );
    if is_traced {
        let (service, method) = started.rpc().split_once('/').unwrap_or_default();
        // It fails for a span that nobody looks at.
        let _ = span.set_parent(parent.clone());
        span.set_attribute("rpc.system", "grpc");
        span.set_attribute("rpc.service", service.to_owned());
        span.set_attribute("rpc.method", method.to_owned());
    }
    span
}

impl Call {
    fn finish(&mut self, code: Code) {
        let Some(started) = self.started.take() else {
            return;
        };
        // Nobody gets the status that is made of half a message.
        let code = if self.record.is_cut_short() {
            Code::Cancelled
        } else {
            code
        };
        let elapsed = started.finish(code);
        let (rpc, code_name) = (started.rpc(), name(code));
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        if rpc.starts_with(HealthServer::<()>::NAME) {
            // Probes come every few seconds.
            tracing::debug!(rpc, code = code_name, duration_ms, "call");
        } else {
            tracing::info!(
                caller = self.record.caller(),
                app = self.record.app(),
                rpc,
                code = code_name,
                upstream = self.record.outcome(),
                duration_ms,
                "call"
            );
        }
        if telemetry::is_traced() {
            self.span
                .set_attribute("rpc.grpc.status_code", i64::from(code as i32));
            if is_of_server(code) {
                self.span.set_status(trace::Status::error(""));
            }
        }
    }
}

/// Whether a code says that the server is to blame, by OpenTelemetry's conventions.
fn is_of_server(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

impl CallBody {
    /// Ends the call by the status in its trailers, and makes that complete.
    fn end(&mut self, trailers: &mut HeaderMap) {
        if let Some(status) = self.completion.of(trailers) {
            // What is there stays if the status cannot be written, which would take a
            // text that is no header value; texts are escaped.
            let _ = status.add_header(trailers);
        }
        if let Some(code) = code(trailers) {
            self.call.finish(code);
        }
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            self.end(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
