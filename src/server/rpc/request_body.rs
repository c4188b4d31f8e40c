//! The request message: it is read to its end, and a client that goes away in the middle
//! of it is recorded.
//!
//! A call that is refused is answered before its message was read, or has arrived. h2
//! then resets the stream, and counts every frame of the message that still arrives as a
//! protocol error of the peer; after a thousand of those it ends the connection, with
//! every call that is in flight on it. So the rest of a message is read and dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

use crate::call::Record;

/// How long the rest of a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of the rest is read, in bytes.
const LIMIT: usize = 1 << 20;

/// The body of a request.
pub struct RequestBody {
    /// `None` after the drop.
    body: Option<Incoming>,
    record: Record,
}

impl RequestBody {
    /// A body that records its end in `record` if it comes too soon.
    pub(super) fn new(body: Incoming, record: Record) -> Self {
        Self {
            body: Some(body),
            record,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // Without a runtime the connection is gone, too.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(PATIENCE, drain(body)));
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await
        && read <= LIMIT
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut *body).poll_frame(context);
        let is_cut = match &frame {
            Poll::Pending | Poll::Ready(Some(Ok(_))) => false,
            Poll::Ready(Some(Err(_))) => true,
            // hyper makes an end of the body of a reset with CANCEL; the stream has none.
            Poll::Ready(None) => !body.is_end_stream(),
        };
        if is_cut {
            self.record.cut_short();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Incoming::size_hint)
    }
}
