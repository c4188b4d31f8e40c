//! One exchange on a stream of an HTTP/2 connection.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use tower::BoxError;

use super::connection::{Http2Error, Stream};
use crate::{
    error::{Cause, Failure},
    net::{
        answer::{Answer, Body, Head},
        progress::Progress,
    },
};

/// A request.
pub(in crate::net) struct Request<'a> {
    pub(in crate::net) head: http::Request<()>,
    /// The form, in two parts.
    pub(in crate::net) form: [Bytes; 2],
    /// Of the answer's body at most so many bytes and one frame are held.
    pub(in crate::net) max_reply_bytes: usize,
    pub(in crate::net) progress: &'a Progress,
}

/// Why a request has no answer.
pub(in crate::net) enum Unanswered {
    /// The server surely has not carried it out, and another connection may do better.
    Unsent(BoxError),
    /// It may not be repeated here.
    Failed(Failure, Cause),
}

/// A form on its way.
struct Outgoing<'a> {
    stream: SendStream<Bytes>,
    /// What was not handed over yet.
    form: [Bytes; 2],
    progress: &'a Progress,
}

/// The call was given up before any of its form was handed over.
struct GivenUp;

impl Stream {
    /// Sends a request, and reads its answer. If the future is dropped, the stream is reset,
    /// and the connection goes on.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub(in crate::net) async fn exchange(
        mut self,
        request: Request<'_>,
    ) -> Result<Answer, Unanswered> {
        let Request {
            head,
            form,
            max_reply_bytes,
            progress,
        } = request;
        let is_empty = form.iter().all(Bytes::is_empty);
        self.link.seen.begin_request();
        // Nobody else waits for this handle, so it is ready as long as the connection is.
        let (mut response, stream) = match self.sender.send_request(head, is_empty) {
            Ok(begun) => begun,
            Err(error) => {
                self.retire();
                return Err(Unanswered::Unsent(Http2Error::without_text(error)));
            }
        };
        let id = response.stream_id().as_u32();
        let mut outgoing = Outgoing {
            stream,
            form,
            progress,
        };
        let mut is_known = false;
        let response = poll_fn(|context| {
            if let Poll::Ready(Err(GivenUp)) = outgoing.poll(context) {
                return Poll::Ready(None);
            }
            // After an interim response the server cannot say that it has not begun.
            while let Poll::Ready(Some(Ok(_))) = response.poll_informational(context) {
                is_known = true;
            }
            Pin::new(&mut response).poll(context).map(Some)
        })
        .await;
        match response {
            Some(Ok(response)) => {
                self.answered();
                Ok(self.read(response, &mut outgoing, max_reply_bytes).await)
            }
            Some(Err(error)) => Err(self.unanswered(error, id, is_known, progress)),
            None => Err(Unanswered::Failed(Failure::OutOfTime { sent: false }, None)),
        }
    }

    /// Reads a response to its end, or to the limit, beyond which the server gets no room. A
    /// server may answer before it has the whole form, and still want the rest.
    async fn read(
        &self,
        response: Response<RecvStream>,
        outgoing: &mut Outgoing<'_>,
        max_bytes: usize,
    ) -> Answer {
        let head = Head::read(response.status(), response.headers());
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        let body = loop {
            let data = poll_fn(|context| {
                let _ = outgoing.poll(context);
                incoming.poll_data(context)
            });
            match data.await {
                Some(Ok(data)) => {
                    body.extend_from_slice(&data);
                    if body.len() > max_bytes {
                        break Body::TooLarge(body);
                    }
                    // It fails once the stream is over, which the next turn finds.
                    let _ = incoming.flow_control().release_capacity(data.len());
                }
                None => break Body::Whole(body),
                Some(Err(error)) => {
                    self.lost(&error, outgoing.progress);
                    break Body::Lost(Http2Error::without_text(error));
                }
            }
        };
        head.with(body)
    }

    /// The stream has failed: by itself, or with its connection and all streams of that.
    fn lost(&self, error: &h2::Error, progress: &Progress) {
        if !error.is_reset() && self.link.tell_loss() {
            progress.mark_shared_failure();
        }
    }

    /// What an error before the head of the response means.
    fn unanswered(
        &self,
        error: h2::Error,
        id: u32,
        is_known: bool,
        progress: &Progress,
    ) -> Unanswered {
        let is_refused =
            error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_untouched = is_refused || self.link.seen.is_untouched(id);
        // Operation and token are in the form: a head alone asks for nothing.
        let is_unsent = !progress.is_sent() || is_untouched && !is_known;
        let is_malformed = error.is_reset() && error.is_library();
        if !is_unsent {
            self.lost(&error, progress);
        }
        let error = Http2Error::without_text(error);
        if is_unsent {
            self.retire();
            Unanswered::Unsent(error)
        } else if is_malformed {
            let malformed = Failure::Malformed {
                problem: "the answer is not HTTP",
                excerpt: String::new(),
            };
            Unanswered::Failed(malformed, Some(error))
        } else {
            Unanswered::Failed(Failure::ConnectionLost, Some(error))
        }
    }
}

impl Outgoing<'_> {
    /// Hands over as much of the form as the server has room for, no sooner than it has it:
    /// h2 would keep the rest, and a call that waits for room has sent nothing.
    ///
    /// It is ready when there is nothing to wait for: all is handed over, or the server
    /// takes no more.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), GivenUp>> {
        loop {
            let left = self.form.iter().map(Bytes::len).sum();
            let Some(part) = self.form.iter_mut().find(|part| !part.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            if self.stream.capacity() == 0 {
                self.stream.reserve_capacity(left);
                match ready!(self.stream.poll_capacity(context)) {
                    Some(Ok(_)) => {}
                    _ => return self.stop(),
                }
            }
            if !self.progress.begin_sending() {
                return Poll::Ready(Err(GivenUp));
            }
            let bytes = part.split_to(part.len().min(self.stream.capacity()));
            let is_last = bytes.len() == left;
            if self.stream.send_data(bytes, is_last).is_err() {
                return self.stop();
            }
        }
    }

    fn stop(&mut self) -> Poll<Result<(), GivenUp>> {
        self.form = [Bytes::new(), Bytes::new()];
        Poll::Ready(Ok(()))
    }
}
