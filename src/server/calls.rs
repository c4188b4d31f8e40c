//! Every call from its headers to its end: counted and timed, once, whatever ends it.
//!
//! A call may end by trailers, by headers alone, by a reset of its stream, or by the loss
//! of its connection, which both drop what is there of it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::{Code, Status};

use super::metrics::{Metrics, Started};

/// A call that is not over. It was cancelled if it is dropped before it is.
struct Call {
    started: Option<Started>,
}

/// The body of a response, which ends its call.
struct CallBody {
    body: Body,
    call: Call,
}

/// The layer.
pub(super) async fn layer(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let mut call = Call {
        started: Some(metrics.start(request.uri().path())),
    };
    let response = next.run(request).await;
    if let Some(code) = code(response.headers()) {
        call.finish(code);
    } else if !response.status().is_success() {
        // It was not gRPC.
        call.finish(Code::Unknown);
    }
    response.map(|body| Body::new(CallBody { body, call }))
}

impl Call {
    fn finish(&mut self, code: Code) {
        if let Some(started) = self.started.take() {
            started.finish(code);
        }
    }
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
        context: &mut Context<'_>,
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
