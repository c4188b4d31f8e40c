//! Every call from its headers to its end: counted, timed, traced and logged, once,
//! whatever ends it.
//!
//! A call may end by trailers, by headers alone, by a reset of its stream, or by the loss
//! of its connection, which both drop what is there of it.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, HeaderValue, header::SERVER};
use http_body::{Frame, SizeHint};
use opentelemetry::{Context, context::FutureExt as _, trace};
use tonic::{Code, Status, server::NamedService as _};
use tonic_health::pb::health_server::HealthServer;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    drain::RequestBody,
    metrics::{Metrics, Started, name},
    request_id::RequestId,
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
struct CallBody {
    body: Body,
    call: Call,
}

/// The layer.
pub(super) async fn layer<F: Future<Output = Response>>(
    metrics: &Metrics,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let started = metrics.start(request.uri().path());
    let id = RequestId::of(request.headers());
    let parent = telemetry::context_of(request.headers());
    let mut call = Call {
        span: span(&started, &id, &parent),
        started: Some(started),
        record: Record::default(),
    };
    request.extensions_mut().insert(call.record.clone());
    request.extensions_mut().insert(id.clone());
    // Outermost the caller's context, so that the span's takes its place, if spans have
    // contexts.
    let request = request.map(|body| {
        let record = call.record.clone();
        Body::new(RequestBody::new(body, record))
    });
    let response = next(request).instrument(call.span.clone());
    let mut response = response.with_context(parent).await;
    id.write(response.headers_mut());
    let version = HeaderValue::from_static(VERSION);
    response.headers_mut().insert(SERVER, version);
    if let Some(code) = code(response.headers()) {
        call.finish(code);
    } else if !response.status().is_success() {
        // It was not gRPC.
        call.finish(Code::Unknown);
    }
    response.map(|body| Body::new(CallBody { body, call }))
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

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(code) = frame.trailers_ref().and_then(code)
        {
            self.call.finish(code);
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

/// The gRPC code in headers or trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(value.as_bytes()))
}
