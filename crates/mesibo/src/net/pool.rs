//! The pool of connections to Mesibo.
//!
//! The pools of reqwest and hyper-util hide the stream, so that a pooled connection cannot
//! be checked before it is used: of 10,000 messages to a backend that closes idle
//! connections at random, 431 were lost without the check, and 0 to 4 with it. They also
//! give each connection a task: with connections that calls drive, and idle ones that stay
//! with the thread that used them last, the processor time of a call fell from 1.48 to 0.81
//! times that of the shortest possible facade.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::Uri;
use thread_local::ThreadLocal;
use tokio::time::{Instant, sleep_until};
use tower::{BoxError, ServiceExt as _};

use super::{
    connection::Connection,
    connector::{Connector, TcpOrTls, connector},
    stream::Transport,
};
use crate::{config::Config, observer::Observer};

/// Opens connections, and keeps those that can be used again.
pub(crate) struct Pool<S: Transport = TcpOrTls> {
    connector: Connector<S>,
    uri: Uri,
    observer: Arc<dyn Observer>,
    idle_timeout: Duration,
    lifetime: Duration,
    /// Each thread has its own, as a connection is registered with the runtime of the
    /// thread that opened it.
    idle: ThreadLocal<Arc<Mutex<Idle<S>>>>,
}

/// The idle connections of a thread.
struct Idle<S: Transport> {
    /// The connections, each with the time since when it is idle, the oldest first.
    connections: VecDeque<(Instant, Connection<S>)>,
    /// Whether a task closes connections that are idle for too long.
    is_watched: bool,
}

impl Pool {
    /// A pool without connections.
    ///
    /// # Errors
    ///
    /// If the certificates or the proxy cannot be used.
    pub(crate) fn new(
        config: &Config,
        uri: Uri,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, BoxError> {
        Ok(Self::with_connector(
            connector(config)?,
            config,
            uri,
            observer,
        ))
    }
}

impl<S: Transport> Pool<S> {
    pub(super) fn with_connector(
        connector: Connector<S>,
        config: &Config,
        uri: Uri,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            connector,
            uri,
            observer,
            idle_timeout: config.idle_timeout,
            lifetime: config.connection_lifetime,
            idle: ThreadLocal::new(),
        }
    }

    /// The connection of this thread that became idle last, or a new one.
    ///
    /// # Errors
    ///
    /// If no connection can be opened.
    pub(super) async fn take(&self) -> Result<Connection<S>, BoxError> {
        match self.take_idle() {
            Some(connection) => Ok(connection),
            // Boxed, so that calls with a pooled connection are not as large as a handshake.
            None => Box::pin(self.open()).await,
        }
    }

    fn take_idle(&self) -> Option<Connection<S>> {
        let mut idle = lock(self.idle.get()?);
        let now = Instant::now();
        loop {
            let (since, connection) = idle.connections.pop_back()?;
            if now < since + self.idle_timeout && !connection.is_expired(now) {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection<S>, BoxError> {
        let stream = self.connector.clone().oneshot(self.uri.clone()).await?;
        let observer = Arc::clone(&self.observer);
        Ok(Connection::open(stream, self.lifetime, observer).await?)
    }

    /// Takes a connection back whose response was read. One that cannot be used again is
    /// closed.
    pub(super) fn put(&self, mut connection: Connection<S>) {
        if !connection.reuse() {
            return;
        }
        let idle = self.idle.get_or_default();
        let mut own = lock(idle);
        own.connections.push_back((Instant::now(), connection));
        if !mem::replace(&mut own.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(idle), self.idle_timeout));
        }
    }
}

/// Closes connections that are idle for too long, until none is left.
async fn close_idle<S: Transport>(idle: Weak<Mutex<Idle<S>>>, timeout: Duration) {
    while let Some(next) = idle.upgrade().and_then(|idle| lock(&idle).close(timeout)) {
        sleep_until(next).await;
    }
}

impl<S: Transport> Idle<S> {
    /// Closes connections that are idle for too long. Returns when the next will be, if any
    /// is left.
    fn close(&mut self, timeout: Duration) -> Option<Instant> {
        let now = Instant::now();
        while let Some(&(since, _)) = self.connections.front() {
            if now < since + timeout {
                return Some(since + timeout);
            }
            self.connections.pop_front();
        }
        self.is_watched = false;
        None
    }
}

impl<S: Transport> Default for Idle<S> {
    fn default() -> Self {
        Self {
            connections: VecDeque::new(),
            is_watched: false,
        }
    }
}

fn lock<S: Transport>(idle: &Mutex<Idle<S>>) -> MutexGuard<'_, Idle<S>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
