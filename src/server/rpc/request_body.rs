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
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep, timeout},
};
use tonic::{Code, Status, codegen::StdError};

use super::{
    messages::Messages,
    terms::{HighWater, Pauses, Terms},
    translation::Translation,
};
use crate::{
    call::Record,
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
    /// How the body becomes one of gRPC. `None` if it is.
    translation: Option<Box<Translation>>,
    /// The messages that are handed on.
    messages: Messages,
    /// `None` before the call was admitted. Nothing is read by then.
    terms: Option<Terms>,
    /// The memory of the largest message so far.
    counted: HighWater,
    /// HTTP/2 tells the end of a body from that of a stream that was reset.
    is_http2: bool,
    /// Whether a message has arrived.
    has_message: bool,
    /// When the message that is on its way is given up. Few messages need its timer: most
    /// have arrived when they are read.
    late: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// A body that records its end in `record` if it comes too soon.
    pub(super) fn new(body: Incoming, version: Version, record: Record) -> Self {
        Self {
            body: Some(body),
            record,
            translation: None,
            messages: Messages::default(),
            terms: None,
            counted: HighWater::default(),
            is_http2: version >= Version::HTTP_2,
            has_message: false,
            late: None,
        }
    }

    /// Lets the body be read, and become one of gRPC if it is not.
    pub(super) fn admit(&mut self, terms: Terms, translation: Option<Translation>) {
        self.terms = Some(terms);
        self.translation = translation.map(Box::new);
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
        // The service refuses what is larger than it takes, and gathers none of it.
        if part.largest > terms.max_bytes {
            return Ok(());
        }
        let counted = self.counted.reach(part.largest, terms);
        counted.map_err(|draft| draft.into_status(self.record.id()))
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
        let is_between = self.translation.as_ref().is_none_or(|it| it.is_between());
        if may_pause && is_between && self.messages.is_between() {
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

impl RequestBody {
    /// The next frame of the body as it arrives.
    fn poll_arrived(
        &mut self,
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
            Some(Err(error)) => {
                self.record.cut_short();
                Some(Err(error.into()))
            }
            None => {
                // hyper makes an end of the body of a reset with CANCEL; the stream has none.
                if self.is_http2 && !body.is_end_stream() {
                    self.record.cut_short();
                }
                None
            }
            frame => frame.map(|frame| frame.map_err(Into::into)),
        })
    }

    /// The next frame of the body that this one becomes.
    fn poll_translated(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        loop {
            match self.translate(Translation::next) {
                Ok(None) => {}
                next => return Poll::Ready(next.transpose()),
            }
            match ready!(self.poll_arrived(context)) {
                None if self.record.is_cut_short() => return Poll::Ready(None),
                None => return Poll::Ready(self.translate(Translation::end).transpose()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let rest = self.body.as_ref().map(Incoming::size_hint);
                    let rest = rest.unwrap_or_default();
                    let pushed = self.translate(|translation, terms| {
                        translation.push(&data, &rest, terms).map(|()| None)
                    });
                    if let Err(error) = pushed {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    /// Takes a step of the translation.
    fn translate(
        &mut self,
        step: impl FnOnce(&mut Translation, &Terms) -> Result<Option<Bytes>, Draft>,
    ) -> Result<Option<Frame<Bytes>>, StdError> {
        let (Some(translation), Some(terms)) = (&mut self.translation, &self.terms) else {
            return Ok(None);
        };
        let next = step(translation, terms);
        let next = next.map_err(|draft| draft.into_status(self.record.id()))?;
        Ok(next.map(Frame::data))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let frame = if self.translation.is_none() {
            self.poll_arrived(context)
        } else {
            self.poll_translated(context)
        };
        let frame = ready!(frame);
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.count(data)
        {
            return Poll::Ready(Some(Err(status.into())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.translation.is_none() && self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        if self.translation.is_some() {
            return SizeHint::default();
        }
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Incoming::size_hint)
    }
}
