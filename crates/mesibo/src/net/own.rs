//! The connections of a thread.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    connection::Connection,
    http2::{self, Driver, Stream},
    opener::Opening,
    stream::Transport,
};

/// The connections of a thread. Others cannot use them as cheaply: a connection is registered
/// with the runtime of the thread that opened it.
pub(super) struct Own<S: Transport> {
    /// The idle HTTP/1.1 connections, each with the time since when it is idle, the oldest
    /// first.
    idle: VecDeque<(Instant, Connection<S>)>,
    /// Whether a task closes connections that are idle for too long.
    is_watched: bool,
    /// The HTTP/2 connections, busy ones too, the oldest first: what has no stream for a
    /// while is closed, so the others are not to be used without need.
    shared: Vec<http2::Connection>,
    /// The connections that are being opened for any call that waits.
    openings: Vec<Opening>,
    /// How many streams the HTTP/2 connection that was opened last may have.
    streams: usize,
}

/// A connection of which a call has all or a part.
pub(super) enum Lease<S: Transport> {
    Http1(Connection<S>),
    Http2(Stream),
}

impl<S: Transport> Own<S> {
    /// The HTTP/1.1 connection that became idle last, or a stream of an HTTP/2 connection.
    pub(super) fn take(&mut self, idle_timeout: Duration) -> Option<Lease<S>> {
        let now = Instant::now();
        while let Some((since, connection)) = self.idle.pop_back() {
            if now < since + idle_timeout && !connection.is_expired(now) {
                return Some(Lease::Http1(connection));
            }
        }
        self.shared.retain(|connection| connection.is_usable(now));
        let mut shared = self.shared.iter();
        shared
            .find_map(|connection| connection.stream(now))
            .map(Lease::Http2)
    }

    /// Keeps an idle HTTP/1.1 connection. Returns whether a task is to call [`close_idle`].
    pub(super) fn put(&mut self, connection: Connection<S>) -> bool {
        self.idle.push_back((Instant::now(), connection));
        !std::mem::replace(&mut self.is_watched, true)
    }

    /// Keeps an HTTP/2 connection.
    pub(super) fn share(&mut self, connection: http2::Connection) {
        self.streams = connection.max_streams();
        self.shared.push(connection);
    }

    /// Forgets the HTTP/2 connection of a driver.
    pub(super) fn forget(&mut self, driver: &Driver<S>) {
        let is_other = |connection: &http2::Connection| !connection.is_driven_by(driver);
        self.shared.retain(is_other);
    }

    /// A connection that is being opened, and that will have a stream for another call.
    pub(super) fn join_opening(&mut self) -> Option<Opening> {
        self.openings.retain(Opening::is_under_way);
        let streams = self.streams;
        let mut openings = self.openings.iter_mut();
        openings.find_map(|opening| opening.join(streams))
    }

    /// Has other calls join an opening.
    pub(super) fn begin_opening(&mut self, opening: Opening) {
        self.openings.push(opening);
    }

    /// Closes connections that are idle for too long. Returns when the next will be, if any
    /// is left.
    fn close(&mut self, timeout: Duration) -> Option<Instant> {
        let now = Instant::now();
        while let Some(&(since, _)) = self.idle.front() {
            if now < since + timeout {
                return Some(since + timeout);
            }
            self.idle.pop_front();
        }
        self.is_watched = false;
        None
    }
}

impl<S: Transport> Default for Own<S> {
    fn default() -> Self {
        Self {
            idle: VecDeque::new(),
            is_watched: false,
            shared: Vec::new(),
            openings: Vec::new(),
            streams: http2::MAX_STREAMS,
        }
    }
}

/// Closes HTTP/1.1 connections that are idle for too long, until none is left.
pub(super) async fn close_idle<S: Transport>(own: Weak<Mutex<Own<S>>>, timeout: Duration) {
    while let Some(next) = own.upgrade().and_then(|own| lock(&own).close(timeout)) {
        sleep_until(next).await;
    }
}

pub(super) fn lock<S: Transport>(own: &Arc<Mutex<Own<S>>>) -> MutexGuard<'_, Own<S>> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}
