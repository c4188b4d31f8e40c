//! Reads what nobody else reads of a request.
//!
//! A call that is refused is answered before its message was read, or is even there. h2
//! then resets the stream, and what still comes of the message is a mistake of the peer to
//! it; a thousand of those in the life of a connection, and it ends the connection, with
//! every call that is in flight on it. So the rest of a message is read, and dropped.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::{runtime::Handle, time::timeout};

/// How long the rest of a message may take to come: it is on its way.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of it is read, in bytes.
const LIMIT: usize = 1 << 20;

/// The body of a request.
struct Drained(Body);

/// The layer.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(Drained(body)))).await
}

impl Drop for Drained {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let body = mem::replace(&mut self.0, Body::empty());
        // Without a runtime everything ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(PATIENCE, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await
        && read <= LIMIT
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
