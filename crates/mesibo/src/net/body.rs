//! The body of a request: a form, in two parts.

use std::{
    array,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::progress::Progress;

/// A form that marks its call as sent when hyper takes it, which hyper does only when it
/// has a connection to write to.
pub(super) struct FormBody {
    /// The parts that hyper has not taken yet.
    parts: array::IntoIter<Bytes, 2>,
    progress: Progress,
}

impl FormBody {
    pub(super) fn new(form: [Bytes; 2], progress: Progress) -> Self {
        Self {
            parts: form.into_iter(),
            progress,
        }
    }
}

impl http_body::Body for FormBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.progress.begin_sending() {
            // The call was given up, and its future is about to be dropped.
            return Poll::Pending;
        }
        Poll::Ready(self.parts.next().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let bytes: usize = self.parts.as_slice().iter().map(Bytes::len).sum();
        SizeHint::with_exact(bytes as u64)
    }
}
