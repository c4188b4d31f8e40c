//! The connections to Mesibo, and which of them are idle.
//!
//! A connection has no task of its own: the call that uses it reads and writes, so that
//! nothing of a call goes from one task to another and back. For the same reason each
//! thread keeps the idle connections that were used on it last, as Envoy's workers do.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Waker},
    time::Duration,
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use thread_local::ThreadLocal;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};
use tower::{BoxError, ServiceExt as _};

use super::{
    connector::{Connector, connector},
    exchange::FormBody,
    stream::{CheckedStream, NextRequest},
};
use crate::{config::Config, observer::Observer};

/// Makes connections, and keeps those that can be used again.
pub(crate) struct Pool {
    connector: Connector,
    uri: Uri,
    observer: Arc<dyn Observer>,
    idle_timeout: Duration,
    lifetime: Duration,
    idle: ThreadLocal<Arc<Mutex<Idle>>>,
}

/// The idle connections of a thread.
#[derive(Default)]
struct Idle {
    /// Each with the time when it became idle: the first has been for the longest.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether a task closes those that are idle for too long.
    is_watched: bool,
}

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<FormBody>,
    driver: Driver,
    next_request: NextRequest,
    is_reused: bool,
    expires_at: Instant,
}

/// Tells the observer that a connection is open, and, when it is dropped, that it is
/// closed.
pub(super) struct Open(Arc<dyn Observer>);

/// What reads and writes, while there is a connection.
struct Driver(Option<Box<http1::Connection<CheckedStream, FormBody>>>);

impl Pool {
    /// Opens none yet.
    ///
    /// # Errors
    ///
    /// If the certificates or the proxy cannot be used.
    pub(crate) fn new(
        config: &Config,
        uri: Uri,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            connector: connector(config)?,
            uri,
            observer,
            idle_timeout: config.idle_timeout,
            lifetime: config.connection_lifetime,
            idle: ThreadLocal::new(),
        })
    }

    /// The connection that became idle last, or a new one.
    ///
    /// # Errors
    ///
    /// If none can be made.
    pub(super) async fn take(&self) -> Result<Connection, BoxError> {
        match self.take_idle() {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = lock(self.idle.get()?);
        let now = Instant::now();
        loop {
            let (since, connection) = idle.connections.pop_back()?;
            if now < since + self.idle_timeout && now < connection.expires_at {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection, BoxError> {
        let stream = self.connector.clone().oneshot(self.uri.clone()).await?;
        let (stream, next_request) =
            CheckedStream::new(stream, Open::new(Arc::clone(&self.observer)));
        let (sender, driver) = http1::handshake(stream).await?;
        Ok(Connection {
            sender,
            driver: Driver(Some(Box::new(driver))),
            next_request,
            is_reused: false,
            expires_at: Instant::now() + self.lifetime,
        })
    }

    /// Keeps a connection whose answer was read, if it can be used again, and closes it
    /// otherwise.
    pub(super) fn put(&self, mut connection: Connection) {
        if !connection.is_reusable() {
            return;
        }
        connection.is_reused = true;
        let idle = self.idle.get_or_default();
        let mut own = lock(idle);
        own.connections.push_back((Instant::now(), connection));
        if !mem::replace(&mut own.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(idle), self.idle_timeout));
        }
    }
}

impl Open {
    fn new(observer: Arc<dyn Observer>) -> Self {
        observer.connection_opened();
        Self(observer)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

impl Connection {
    /// Whether it has had an answer before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Sends a request, and reads its response. A connection whose future is dropped is
    /// of no use any longer.
    ///
    /// # Errors
    ///
    /// If no response comes.
    pub(super) async fn send<T, F: Future<Output = T>>(
        &mut self,
        request: Request<FormBody>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> hyper::Result<T> {
        if self.is_reused {
            self.next_request.begins();
        }
        let response = self.sender.send_request(request);
        let exchange = async { Ok(read(response.await?).await) };
        // Nothing but the connection brings the exchange on, so nothing else needs to
        // wake it, not even tokio, for the sake of other tasks.
        let mut exchange = pin!(unconstrained(exchange));
        poll_fn(|context| {
            self.driver.poll(context);
            exchange
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// Whether another request can be sent on it. Not if it is too old, and not if its
    /// server has closed it, or has answered before all of the request was written, and
    /// may never read the rest (hyper#4176).
    fn is_reusable(&mut self) -> bool {
        // It sees the end of the response, and nobody waits for anything else.
        self.driver.poll(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready() && Instant::now() < self.expires_at
    }
}

impl Driver {
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(connection).poll(context).is_ready()
        {
            // How it ended, the exchange learns.
            self.0 = None;
        }
    }
}

/// Closes connections once they are idle for too long, until none is left.
async fn close_idle(idle: Weak<Mutex<Idle>>, timeout: Duration) {
    while let Some(next) = idle.upgrade().and_then(|idle| lock(&idle).close(timeout)) {
        sleep_until(next).await;
    }
}

impl Idle {
    /// Closes those that are idle for too long. When the next will be.
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

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
