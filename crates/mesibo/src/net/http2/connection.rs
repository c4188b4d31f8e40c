//! One HTTP/2 connection, which a task drives.

use std::{
    error, fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{self, SendRequest},
};
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::{
    link::{Due, Limits, Link},
    watched::Watched,
};
use crate::{net::stream::Transport, observer::Observer};

/// The most streams of a connection: more than that are better off with another one, for
/// what becomes of one connection becomes of all its streams. RFC 9113, section 6.5.2, wants
/// no server to allow fewer.
pub(in crate::net) const MAX_STREAMS: usize = 100;

/// How much of one reply may arrive before its call reads it.
const STREAM_WINDOW: u32 = 256 << 10;

/// How much of all replies on a connection may arrive before their calls read them.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Largest headers of a response, in bytes, as RFC 9113, section 6.5.2, counts them.
const MAX_HEADERS: u32 = 16 << 10;

/// How many streams that calls gave up are remembered, and for how long: an answer to one
/// that is forgotten is a mistake of the server, and h2 ends a connection with 1,024 of them.
const MAX_RESETS: usize = 1000;
const RESET_TIME: Duration = Duration::from_secs(30);

/// An open connection, as the pool has it.
pub(in crate::net) struct Connection {
    sender: SendRequest<Bytes>,
    link: Arc<Link>,
}

/// The side of a connection that reads and writes. Without it the connection is closed.
pub(in crate::net) struct Driver<S: Transport> {
    connection: Box<client::Connection<Watched<S>, Bytes>>,
    pings: Option<PingPong>,
    link: Arc<Link>,
}

/// The right to one stream of a connection.
pub(in crate::net) struct Stream {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) link: Arc<Link>,
    begun_at: Instant,
    is_answered: bool,
}

/// An error of HTTP/2, without the text that a server may add to a GOAWAY: it could hold
/// anything.
#[derive(Debug)]
pub(super) struct Http2Error(&'static str, h2::Reason);

impl Connection {
    /// Opens a connection over a stream, and waits until its server allows a stream: until
    /// its SETTINGS, then, without which nobody knows whether it speaks HTTP/2.
    ///
    /// # Errors
    ///
    /// If the connection ends before.
    pub(in crate::net) async fn open<S: Transport>(
        stream: S,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Driver<S>), BoxError> {
        let (stream, seen) = Watched::new(stream, observer);
        let (sender, mut connection) = client::Builder::new()
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .max_concurrent_reset_streams(MAX_RESETS)
            .reset_stream_duration(RESET_TIME)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(Http2Error::without_text)?;
        poll_fn(|context| match Pin::new(&mut connection).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("the server closed the connection".into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Http2Error::without_text(error))),
            Poll::Pending if connection.max_concurrent_send_streams() == 0 => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await?;
        let link = Arc::new(Link::new(seen, limits));
        let driver = Driver {
            pings: connection.ping_pong(),
            connection: Box::new(connection),
            link: Arc::clone(&link),
        };
        Ok((Self { sender, link }, driver))
    }

    /// How many streams the connection may have at a time.
    pub(in crate::net) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams().min(MAX_STREAMS)
    }

    /// Whether the connection takes streams, as long as there are not too many.
    pub(in crate::net) fn is_usable(&self, now: Instant) -> bool {
        self.link.is_usable(now)
    }

    /// A stream, if the connection takes another one.
    pub(in crate::net) fn stream(&self, now: Instant) -> Option<Stream> {
        self.link
            .begin_stream(now, self.max_streams())
            .then(|| Stream {
                sender: self.sender.clone(),
                link: Arc::clone(&self.link),
                begun_at: now,
                is_answered: false,
            })
    }

    /// Whether a driver is that of this connection.
    pub(in crate::net) fn is_driven_by<S: Transport>(&self, driver: &Driver<S>) -> bool {
        Arc::ptr_eq(&self.link, &driver.link)
    }
}

impl<S: Transport> Driver<S> {
    /// Drives the connection to its end. `forget` is called as soon as it takes no more
    /// streams, with whoever keeps it being expected to drop it; it ends when its last
    /// stream did.
    pub(in crate::net) async fn run(mut self, forget: impl Fn(&Self) + Send) {
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = Pin::new(&mut self.connection).poll(context) {
                    if let Err(error) = result.map_err(Http2Error::without_text) {
                        tracing::debug!(error, "a connection to Mesibo ended");
                    }
                    return Poll::Ready(());
                }
                // Of a pong nothing is wanted but that it arrived.
                if let Some(pings) = &mut self.pings {
                    let _ = pings.poll_pong(context);
                }
                if timer.as_mut().poll(context).is_pending() && !self.link.is_changed() {
                    return Poll::Pending;
                }
                match self.link.due(Instant::now()) {
                    Due::Wait(then) => {
                        timer.as_mut().reset(then);
                        if timer.as_mut().poll(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Due::Retire => forget(&self),
                    Due::Ping => self.ping(context),
                    Due::End(reason) => {
                        tracing::debug!(reason, "a connection to Mesibo is given up");
                        return Poll::Ready(());
                    }
                }
            }
        })
        .await;
        self.link.retire();
        forget(&self);
    }

    fn ping(&mut self, context: &mut Context<'_>) {
        let Some(pings) = &mut self.pings else {
            return;
        };
        // One that is not answered yet does as well.
        let _ = pings.send_ping(Ping::opaque());
        let _ = pings.poll_pong(context);
    }
}

impl<S: Transport> Drop for Driver<S> {
    fn drop(&mut self) {
        // Before the streams are told that they have failed.
        self.link.seen.end();
    }
}

impl Stream {
    /// The server has answered on the stream.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// The connection gets no more streams.
    pub(super) fn retire(&self) {
        self.link.retire();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let unanswered_since = (!self.is_answered).then_some(self.begun_at);
        self.link.end_stream(unanswered_since);
    }
}

impl Http2Error {
    /// An error as it may be shown.
    pub(super) fn without_text(error: h2::Error) -> BoxError {
        match error.reason() {
            Some(reason) if error.is_go_away() => {
                let what = if error.is_remote() {
                    "the server ended the connection"
                } else {
                    "the server does not keep to HTTP/2"
                };
                Self(what, reason).into()
            }
            _ => error.into(),
        }
    }
}

impl fmt::Display for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl error::Error for Http2Error {}
