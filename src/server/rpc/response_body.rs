//! The response of a call, and what ends it: its trailers, its deadline, a panic, or that
//! its caller may no longer make it.
//!
//! A service may answer with a stream that it makes as it goes. So all of this is handled
//! where the stream is polled, too, and becomes its trailers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::SERVER};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Status, body::Body};

use super::{
    call::Call,
    timeout::{self, HEAD_START},
    usage::Active,
};
use crate::{
    call::{Denial, Memory},
    server::metrics::ServerMetrics,
    status::{self, Draft},
};

/// The program that gave a response, for the header `server`.
const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The body of a response, which ends its call.
pub(in crate::server) struct ResponseBody {
    body: Body,
    call: Call,
    deadline: Deadline,
    revoked: Option<Revoked>,
    metrics: ServerMetrics,
    /// Given back at the end of the call.
    _held: (Option<Memory>, [Option<Active>; 2]),
}

/// Completes when the caller of a stream may no longer make the call, and says why.
pub(super) type Revoked = Pin<Box<dyn Future<Output = Denial> + Send>>;

/// What bounds a call while its response is sent, and what the call takes up to its end.
#[derive(Default)]
pub(super) struct Bounds {
    pub(super) due: Option<Instant>,
    /// `None` if it does not end before its service does.
    pub(super) revoked: Option<Revoked>,
    pub(super) memory: Option<Memory>,
    /// Among the calls that a caller is known for.
    pub(super) active: Option<Active>,
}

/// The deadline of a call while its response is sent. Few responses need its timer: most
/// are whole when they begin.
enum Deadline {
    None,
    At(Instant),
    Armed(Pin<Box<Sleep>>),
}

impl ResponseBody {
    /// Makes the response of a call complete: its status, the id of the call, and its end.
    /// `active` is its place among the calls of its connection, if the call is to hold it.
    pub(super) fn respond(
        mut response: Response<Body>,
        mut call: Call,
        bounds: Bounds,
        active: Option<Active>,
        metrics: &ServerMetrics,
    ) -> Response<Self> {
        if let Some(status) = call.completed(response.headers()) {
            response = status.into_http();
        }
        let headers = response.headers_mut();
        call.record().id().write(headers);
        headers.insert(SERVER, HeaderValue::from_static(VERSION));
        call.finish_by(response.headers());
        if !response.status().is_success() {
            call.finish_no_call();
        }
        response.map(|body| Self {
            body,
            call,
            deadline: bounds.due.map_or(Deadline::None, Deadline::At),
            revoked: bounds.revoked,
            metrics: metrics.clone(),
            _held: (bounds.memory, [bounds.active, active]),
        })
    }

    /// The trailers that end the response in the place of the service's own.
    fn end_with(&mut self, draft: Draft) -> Frame<Bytes> {
        // What the service still does for the call ends here.
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let status = draft.into_status(self.call.record().id());
        // The text of a status is escaped, so that it is a header value.
        let _ = status.add_header(&mut trailers);
        self.call.finish(status.code());
        Frame::trailers(trailers)
    }

    /// Why the caller may no longer make the call, if it may not.
    fn poll_revoked(&mut self, context: &mut Context<'_>) -> Option<Denial> {
        let revoked = self.revoked.as_mut()?;
        match revoked.as_mut().poll(context) {
            Poll::Ready(denial) => Some(denial),
            Poll::Pending => None,
        }
    }

    fn poll_service(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let _entered = self.call.span().enter();
        Pin::new(&mut self.body).poll_frame(context)
    }
}

impl Deadline {
    /// Completes when the deadline has passed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::At(deadline) = self {
            *self = Self::Armed(Box::pin(sleep_until(*deadline + HEAD_START)));
        }
        match self {
            Self::Armed(sleep) => sleep.as_mut().poll(context),
            Self::None | Self::At(_) => Poll::Pending,
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_service(context)));
        let mut frame = match polled {
            Ok(Poll::Ready(frame)) => frame,
            Ok(Poll::Pending) => {
                if let Some(denial) = self.poll_revoked(context) {
                    return Poll::Ready(Some(Ok(self.end_with(status::denied(&denial)))));
                }
                ready!(self.deadline.poll(context));
                return Poll::Ready(Some(Ok(self.end_with(timeout::exceeded()))));
            }
            Err(_) => {
                self.metrics.panicked();
                return Poll::Ready(Some(Ok(self.end_with(status::panicked()))));
            }
        };
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            if let Some(status) = self.call.completed(trailers) {
                // The text of a status is escaped, so that it is a header value.
                let _ = status.add_header(trailers);
            }
            self.call.finish_by(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // hyper may drop the body at its end, and must not before its trailers.
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use futures_util::{Stream, StreamExt as _, stream};
    use http::Request;
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::{
        call::{Peer, Stop},
        server::{config::Dialect, rpc::refusals::Refusals},
        telemetry::{
            Format,
            audit::{AuditConfig, AuditLog},
        },
    };

    const DEADLINE: Duration = Duration::from_secs(5);

    /// The response of a service that sends one message, and then what `rest` has.
    fn respond(
        rest: impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static,
    ) -> ResponseBody {
        let message = Frame::data(Bytes::from_static(b"\0\0\0\0\0"));
        let frames = stream::iter([Ok(message)]).chain(rest);
        let response = Response::new(Body::new(StreamBody::new(frames)));
        let metrics = ServerMetrics::default();
        let request = Request::get("/grpc.health.v1.Health/Watch").body(());
        let context = opentelemetry::Context::new();
        let audit = AuditLog::start(AuditConfig::default(), Format::Text);
        let refusals = Refusals::new(audit.unwrap());
        let (_, stopping) = Stop::new();
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), None, stopping);
        let request = request.unwrap();
        let dialect = Some(Dialect::Grpc);
        let call = Call::start(&metrics, &refusals, &request, dialect, &context, &peer);
        let bounds = Bounds {
            due: Some(Instant::now() + DEADLINE),
            ..Bounds::default()
        };
        ResponseBody::respond(response, call, bounds, None, &metrics).into_body()
    }

    /// The status in the trailers behind the first message.
    async fn status_of(mut body: ResponseBody) -> Status {
        let message = body.frame().await.unwrap().unwrap();
        assert!(message.is_data());
        let trailers = body.frame().await.unwrap().unwrap().into_trailers();
        assert!(body.frame().await.is_none(), "trailers are the end");
        Status::from_header_map(&trailers.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_in_a_stream_becomes_its_trailers() {
        let rest = stream::once(async { panic!("a secret of the inside") });
        let status = status_of(respond(rest)).await;
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"), "{status:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_at_its_deadline() {
        let start = Instant::now();
        let status = status_of(respond(stream::once(pending()))).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(start.elapsed() >= DEADLINE);
    }

    #[tokio::test]
    async fn a_status_in_trailers_is_made_complete() {
        let mut trailers = HeaderMap::new();
        let status = Status::unknown("database password is hunter2");
        status.add_header(&mut trailers).unwrap();
        let status = status_of(respond(stream::iter([Ok(Frame::trailers(trailers))]))).await;
        assert_eq!(status.code(), Code::Unknown);
        assert!(!status.message().contains("hunter2"), "{status:?}");
        assert!(!status.details().is_empty());
    }
}
