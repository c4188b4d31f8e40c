//! The request message: it is read to its end, its memory is counted before it is taken, it
//! has to arrive in time, and a client that goes away in the middle of it is recorded.
//!
//! A call that is refused is answered before its message was read, or has arrived. h2
//! then resets the stream, and counts every frame of the message that still arrives as a
//! protocol error of the peer; after a thousand of those it ends the connection, with
//! every call that is in flight on it. So the rest of a message is read and dropped.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep, timeout},
};
use tonic::{Code, Status, codegen::StdError};

use super::messages::Messages;
use crate::{
    call::{Memory, Record},
    status::{self, Draft, Reason},
};

/// How long the rest of a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of the rest is read, in bytes.
const LIMIT: usize = 1 << 20;

/// The body of a request.
pub struct RequestBody {
    /// `None` after the drop.
    body: Option<Incoming>,
    record: Record,
    messages: Messages,
    /// `None` before the call was admitted. Nothing is read by then.
    terms: Option<Terms>,
    /// How much of the memory of the call is for the largest message so far.
    counted: usize,
    /// Whether a message has arrived.
    has_message: bool,
    /// When the message that is on its way is given up. Few messages need its timer: most
    /// have arrived when they are read.
    late: Option<Pin<Box<Sleep>>>,
}

/// What a body may take.
pub(super) struct Terms {
    /// The memory of the call.
    pub(super) memory: Memory,
    /// The largest message that its service takes.
    pub(super) max_bytes: usize,
    /// How long a message may take to arrive.
    pub(super) timeout: Duration,
    pub(super) pauses: Pauses,
}

/// When a client may pause between messages for as long as it likes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pauses {
    /// Not at all: there is one message.
    Never,
    /// In a stream, after the first message.
    AfterFirst,
    /// In a stream, from the start.
    Always,
}

impl RequestBody {
    /// A body that records its end in `record` if it comes too soon.
    pub(super) fn new(body: Incoming, record: Record) -> Self {
        Self {
            body: Some(body),
            record,
            messages: Messages::default(),
            terms: None,
            counted: 0,
            has_message: false,
            late: None,
        }
    }

    /// Lets the body be read.
    pub(super) fn admit(&mut self, terms: Terms) {
        self.terms = Some(terms);
    }

    /// Takes the memory of the messages that begin in a part of the body. tonic allocates
    /// it as soon as it has read how long a message is, and keeps it for those that follow.
    fn count(&mut self, data: &[u8]) -> Result<(), Status> {
        let part = self.messages.read(data);
        let Some(terms) = &self.terms else {
            return Ok(());
        };
        if part.has_end && terms.pauses != Pauses::Never {
            self.late = None;
        }
        self.has_message |= part.has_end;
        let more = part.largest.saturating_sub(self.counted);
        // The service refuses what is larger than it takes, and gathers none of it.
        if more == 0 || part.largest > terms.max_bytes {
            return Ok(());
        }
        terms
            .memory
            .take_more(more)
            .map_err(|_| status::request_memory().into_status(self.record.id()))?;
        self.counted = part.largest;
        Ok(())
    }

    /// Completes when the message that is on its way is given up.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(terms) = &self.terms else {
            return Poll::Pending;
        };
        let may_pause = match terms.pauses {
            Pauses::Never => false,
            Pauses::AfterFirst => self.has_message,
            Pauses::Always => true,
        };
        if may_pause && self.messages.is_between() {
            return Poll::Pending;
        }
        let timeout = terms.timeout;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(late.as_mut().poll(context));
        Poll::Ready(too_late(timeout).into_status(self.record.id()))
    }
}

/// The status of a call whose message did not arrive in time.
fn too_late(timeout: Duration) -> Draft {
    let timeout = humantime::format_duration(timeout);
    status::refuse(
        Code::DeadlineExceeded,
        Reason::DeadlineExceeded,
        format!("the request message did not arrive within {timeout}; nothing was sent"),
    )
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
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Pending => {
                let status = ready!(self.poll_late(context));
                return Poll::Ready(Some(Err(status.into())));
            }
            Poll::Ready(frame) => frame,
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let counted = frame.data_ref().map_or(Ok(()), |data| self.count(data));
                Some(counted.map(|()| frame).map_err(Into::into))
            }
            Some(Err(error)) => {
                self.record.cut_short();
                Some(Err(error.into()))
            }
            None => {
                // hyper makes an end of the body of a reset with CANCEL; the stream has none.
                if !body.is_end_stream() {
                    self.record.cut_short();
                }
                None
            }
        })
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
