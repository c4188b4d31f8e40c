//! The record of a call from its headers to its end: counted, timed, traced and logged
//! once, whatever ends it.
//!
//! A call may end by trailers, by headers alone, by a reset of its stream, or by the loss
//! of its connection. The last two drop its response.

use std::time::Duration;

use http::{HeaderMap, Request, Uri};
use opentelemetry::{Context, trace};
use tonic::{Code, Status};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::refusals::{Refusal, Refusals};
use crate::{
    call::{Peer, Policy, Record, RequestId, policy::Audience},
    server::{
        config::Dialect,
        metrics::{ServerMetrics, Started, name},
    },
    status::{self, Reason},
    telemetry::{trace::is_traced, write_of_call},
};

/// A call that is not over. Dropped before its end, it was cancelled.
pub(super) struct Call {
    /// `None` after the end.
    started: Option<Started>,
    policy: Option<&'static Policy>,
    dialect: Option<Dialect>,
    record: Record,
    refusals: Refusals,
    /// Whether it is a call in any dialect.
    is_spoken: bool,
    span: Span,
    uri: Uri,
}

impl Call {
    /// Starts the record of a call. `dialect` is `None` for what may be none, and `parent` is
    /// the trace context of its client.
    pub(super) fn start<B>(
        metrics: &ServerMetrics,
        refusals: &Refusals,
        request: &Request<B>,
        dialect: Option<Dialect>,
        parent: &Context,
        peer: &Peer,
    ) -> Self {
        let policy = Policy::of_path(request.uri().path());
        let started = metrics.start(policy, dialect);
        let id = RequestId::of(request.headers());
        Self {
            span: span(started.rpc(), dialect, &id, parent),
            started: Some(started),
            policy,
            dialect,
            record: Record::new(id, peer.clone()),
            refusals: refusals.clone(),
            is_spoken: true,
            uri: request.uri().clone(),
        }
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn policy(&self) -> Option<&'static Policy> {
        self.policy
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The complete status in the place of the one in headers or trailers. `None` if that
    /// one is complete: libraries answer some calls before a handler sees them, and their
    /// statuses lack the details that every status of the facade carries.
    pub(super) fn completed(&self, headers: &HeaderMap) -> Option<Status> {
        code(headers).filter(|&code| code != Code::Ok)?;
        if headers.contains_key(Status::GRPC_STATUS_DETAILS) {
            return None;
        }
        let status = Status::from_header_map(headers)?;
        let draft = status::complete(&status, self.uri.path());
        Some(draft.into_status(self.record.id()))
    }

    /// Ends the call by the status in headers or trailers, if there is one.
    pub(super) fn finish_by(&mut self, headers: &HeaderMap) {
        if let Some(code) = code(headers) {
            self.finish(code);
        }
    }

    /// Ends what is no call.
    pub(super) fn finish_no_call(&mut self) {
        self.is_spoken = false;
        self.finish(Code::Unknown);
    }

    /// Ends the call, unless it is over.
    pub(super) fn finish(&mut self, code: Code) {
        let Some(started) = self.started.take() else {
            return;
        };
        // No client reads the status that half a message got.
        let code = if self.record.is_cut_short() {
            Code::Cancelled
        } else {
            code
        };
        let elapsed = started.finish(code);
        self.log(started.rpc(), code, elapsed);
        if is_traced() {
            self.trace(code);
        }
    }

    /// Completes the span of the call.
    fn trace(&self, code: Code) {
        let (span, record) = (&self.span, &self.record);
        span.set_attribute("rpc.grpc.status_code", i64::from(code as i32));
        for (name, value) in [
            (
                "mesibo_grpc.caller",
                record.caller().map(|caller| &**caller),
            ),
            ("mesibo_grpc.app", record.app()),
            ("mesibo_grpc.reason", self.refusal().map(Refusal::reason)),
            ("mesibo_grpc.upstream", record.outcome()),
        ] {
            if let Some(value) = value {
                span.set_attribute(name, value.to_owned());
            }
        }
        if is_server_error(code) {
            span.set_status(trace::Status::error(""));
        }
    }

    /// Writes the line of the call, unless it is one of many that were not let in.
    fn log(&self, rpc: &'static str, code: Code, elapsed: Duration) {
        let (code, record) = (name(code), &self.record);
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if self.is_probe() {
            // Probes come every few seconds.
            let (_entered, peer) = (self.span.enter(), record.peer().shown());
            return tracing::debug!(rpc, code, %peer, duration_ms, "call");
        }
        let refusal = self.refusal();
        let skipped = refusal.map(|refusal| self.refusals.take(record, rpc, refusal));
        if skipped == Some(None) {
            return;
        }
        let failure = record.failure();
        let error = failure.and_then(|failure| failure.error.as_deref());
        let (level, is_wanted) = match error {
            Some(_) => (Level::WARN, tracing::enabled!(Level::WARN)),
            None => (Level::INFO, tracing::enabled!(Level::INFO)),
        };
        if !is_wanted {
            return;
        }
        write_of_call(level, module_path!(), record.id().as_str(), |line| {
            line.message("call")
                .optional("caller", record.caller().map(|caller| &**caller))
                .optional("app", record.app())
                .text("rpc", rpc)
                .optional("dialect", self.dialect.map(Dialect::name))
                .text("code", code)
                .optional("reason", refusal.map(Refusal::reason));
            if let Some(skipped) = skipped.flatten().filter(|&skipped| skipped > 0) {
                line.number("skipped", skipped);
            }
            if self.policy.is_some_and(Policy::is_stream_of_items) {
                let (items, failed_items) = record.items();
                line.number("items", items)
                    .number("failed_items", failed_items);
            }
            let code = failure.and_then(|failure| failure.code.as_deref());
            let cause = failure.and_then(|failure| failure.cause.as_deref());
            line.optional("upstream", record.outcome())
                .optional("upstream_code", code)
                .optional("error", error)
                .optional("cause", cause)
                .word("peer", record.peer().shown());
            if let Some(credential) = record.credential() {
                line.display("credential", credential);
            }
            line.number("duration_ms", duration_ms);
        });
    }

    fn is_probe(&self) -> bool {
        self.policy
            .is_some_and(|policy| policy.audience == Audience::Everyone)
    }

    /// Why the call was not let in, if it was not.
    fn refusal(&self) -> Option<Refusal> {
        if !self.is_spoken {
            Some(Refusal::NoCall)
        } else if let Some(denial) = self.record.denial() {
            Some(Refusal::Denied(Reason::of(denial)))
        } else {
            self.policy.is_none().then_some(Refusal::UnknownMethod)
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

/// The span of a call: its id for the log, and the attributes of OpenTelemetry's
/// conventions for RPC for traces.
fn span(rpc: &'static str, dialect: Option<Dialect>, id: &RequestId, parent: &Context) -> Span {
    let is_traced = is_traced();
    let span = tracing::info_span!(
        "call",
        request_id = id.as_str(),
        otel.name = is_traced.then_some(rpc),
        otel.kind = is_traced.then_some("server"),
    );
    if is_traced {
        let (service, method) = rpc.split_once('/').unwrap_or_default();
        // It fails for a span that is not sampled.
        let _ = span.set_parent(parent.clone());
        let is_connect = dialect == Some(Dialect::Connect);
        span.set_attribute(
            "rpc.system",
            if is_connect { "connect_rpc" } else { "grpc" },
        );
        span.set_attribute("rpc.service", service);
        span.set_attribute("rpc.method", method);
    }
    span
}

/// Whether a code is an error of the server, by OpenTelemetry's conventions.
fn is_server_error(code: Code) -> bool {
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

/// The gRPC code in headers or trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(value.as_bytes()))
}
