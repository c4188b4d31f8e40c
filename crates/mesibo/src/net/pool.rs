//! The pool of connections to Mesibo.
//!
//! The pools of reqwest and hyper-util hide the stream, so that a pooled connection cannot
//! be checked before it is used: of 10,000 messages to a backend that closes idle
//! connections at random, 431 were lost without the check, and 0 to 4 with it. They also
//! give each connection a task: with connections that calls drive, and idle ones that stay
//! with the thread that used them last, the processor time of a call fell from 1.48 to 0.81
//! times that of the shortest possible facade.
//!
//! Of an origin that speaks HTTP/2, calls share connections: those of a thread that find no
//! free stream wait for one handshake, and not each for its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Uri;
use thread_local::ThreadLocal;
use tower::BoxError;

use super::{
    connection::Connection,
    connector::{Connector, TcpOrTls, connector},
    http2,
    opener::{Opened, Opener, Opening, Opens, Speaks},
    own::{Lease, Own, close_idle, lock},
    stream::Transport,
};
use crate::{config::Config, observer::Observer};

/// How many connections a call waits for, one after the other, at the most.
const MAX_OPENINGS: usize = 8;

/// Opens connections, and keeps those that can be used again.
pub(crate) struct Pool<S: Transport = TcpOrTls> {
    opener: Arc<Opener<S>>,
    idle_timeout: Duration,
    own: ThreadLocal<Arc<Mutex<Own<S>>>>,
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
            opener: Arc::new(Opener::new(connector, config, uri, observer)),
            idle_timeout: config.idle_timeout,
            own: ThreadLocal::new(),
        }
    }

    /// The connection of this thread that became idle last, a stream of a shared one, or a
    /// new connection.
    ///
    /// # Errors
    ///
    /// If no connection can be opened.
    pub(super) async fn take(&self) -> Result<Lease<S>, BoxError> {
        match self.take_open() {
            Some(lease) => Ok(lease),
            // Boxed, so that calls with a pooled connection are not as large as a handshake.
            None => Box::pin(self.open()).await,
        }
    }

    fn take_open(&self) -> Option<Lease<S>> {
        lock(self.own.get()?).take(self.idle_timeout)
    }

    /// Opens a connection for this call alone, if the origin speaks HTTP/1.1; otherwise waits
    /// for one that calls share.
    ///
    /// A call that waits for what another one has begun to open has a second chance if that
    /// fails. It ends after a few turns in any case: a server may end each connection before
    /// anything can be asked on it.
    async fn open(&self) -> Result<Lease<S>, BoxError> {
        let own = Arc::clone(self.own.get_or_default());
        let mut has_chance = true;
        for _ in 0..MAX_OPENINGS {
            if let Some(lease) = lock(&own).take(self.idle_timeout) {
                return Ok(lease);
            }
            if self.opener.speaks() == Speaks::Http1 {
                match self.opener.open().await? {
                    Opened::Http1(connection) => return Ok(Lease::Http1(connection)),
                    Opened::Http2(connection, driver) => {
                        share(&own, connection, driver);
                        continue;
                    }
                }
            }
            let joined = lock(&own).join_opening();
            has_chance &= joined.is_some();
            let opening = joined.unwrap_or_else(|| self.begin_opening(&own));
            match opening.wait().await {
                Err(error) if !has_chance => return Err(error),
                Err(_) => has_chance = false,
                Ok(()) => {}
            }
        }
        // The last one may have streams.
        let lease = lock(&own).take(self.idle_timeout);
        lease.ok_or_else(|| "no connection that was opened had a free stream".into())
    }

    /// Opens a connection in a task of its own, so that it becomes of use to the others if
    /// the call that wanted it is given up.
    fn begin_opening(&self, own: &Arc<Mutex<Own<S>>>) -> Opening {
        let (opening, opens) = Opening::begin();
        let handle = opening.handle();
        lock(own).begin_opening(opening);
        let opener = Arc::clone(&self.opener);
        tokio::spawn(open_shared(
            opener,
            Arc::clone(own),
            self.idle_timeout,
            opens,
        ));
        handle
    }

    /// Takes a connection back whose response was read. One that cannot be used again is
    /// closed.
    pub(super) fn put(&self, mut connection: Connection<S>) {
        if connection.reuse() {
            keep(self.own.get_or_default(), connection, self.idle_timeout);
        }
    }
}

/// Opens a connection for whoever waits.
async fn open_shared<S: Transport>(
    opener: Arc<Opener<S>>,
    own: Arc<Mutex<Own<S>>>,
    idle_timeout: Duration,
    opens: Opens,
) {
    let outcome = opener.open().await.map(|opened| match opened {
        Opened::Http1(connection) => keep(&own, connection, idle_timeout),
        Opened::Http2(connection, driver) => share(&own, connection, driver),
    });
    opens.end(outcome);
}

/// Keeps an HTTP/2 connection, and has it driven.
fn share<S: Transport>(
    own: &Arc<Mutex<Own<S>>>,
    connection: http2::Connection,
    driver: http2::Driver<S>,
) {
    lock(own).share(connection);
    let own = Arc::downgrade(own);
    tokio::spawn(driver.run(move |driver| {
        if let Some(own) = own.upgrade() {
            lock(&own).forget(driver);
        }
    }));
}

/// Keeps an idle HTTP/1.1 connection.
fn keep<S: Transport>(own: &Arc<Mutex<Own<S>>>, connection: Connection<S>, timeout: Duration) {
    if lock(own).put(connection) {
        tokio::spawn(close_idle(Arc::downgrade(own), timeout));
    }
}
