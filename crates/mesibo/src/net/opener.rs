//! How connections are opened, alone or for many calls.

use std::{
    error, fmt, iter,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use http::{Uri, uri::Scheme};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tower::{BoxError, ServiceExt as _};

use super::{
    connection::Connection,
    connector::Connector,
    http2::{self, Driver, Limits},
    stream::Transport,
};
use crate::{
    config::{Config, Protocol},
    observer::Observer,
};

/// Opens connections to one origin.
pub(super) struct Opener<S> {
    connector: Connector<S>,
    uri: Uri,
    observer: Arc<dyn Observer>,
    connect_timeout: Duration,
    limits: Limits,
    protocol: Protocol,
    /// What the origin speaks: the discriminant of [`Speaks`].
    speaks: AtomicU8,
}

/// What is known of the protocol of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Speaks {
    /// Nobody has asked yet.
    Unknown,
    Http1,
    Http2,
}

/// A connection that was opened.
pub(super) enum Opened<S: Transport> {
    Http1(Connection<S>),
    Http2(http2::Connection, Driver<S>),
}

/// A connection that is being opened for any call that waits. All clones are of the same.
pub(super) struct Opening {
    /// The outcome, once it is known. It stays unknown if the runtime ends.
    outcome: watch::Receiver<Option<Outcome>>,
    /// How many calls wait.
    joined: usize,
}

/// Tells those who wait for an opening its outcome.
pub(super) struct Opens(watch::Sender<Option<Outcome>>);

type Outcome = Result<(), Arc<dyn error::Error + Send + Sync>>;

/// The failure of an opening, which several calls share.
#[derive(Debug)]
struct SharedError(Arc<dyn error::Error + Send + Sync>);

/// The server does not speak HTTP/2, and nothing else will do.
#[derive(Debug)]
struct NoHttp2(Option<BoxError>);

impl<S: Transport> Opener<S> {
    pub(super) fn new(
        connector: Connector<S>,
        config: &Config,
        uri: Uri,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let speaks = match config.protocol {
            Protocol::Auto if is_encrypted => Speaks::Unknown,
            Protocol::Auto | Protocol::Http1 => Speaks::Http1,
            Protocol::Http2 => Speaks::Http2,
        };
        Self {
            connector,
            uri,
            observer,
            connect_timeout: config.connect_timeout,
            limits: Limits {
                idle_timeout: config.idle_timeout,
                lifetime: config.connection_lifetime,
            },
            protocol: config.protocol,
            speaks: AtomicU8::new(speaks as u8),
        }
    }

    /// What is known of the protocol of the origin.
    pub(super) fn speaks(&self) -> Speaks {
        let speaks = self.speaks.load(Ordering::Relaxed);
        let mut known = [Speaks::Http1, Speaks::Http2].into_iter();
        known
            .find(|&known| known as u8 == speaks)
            .unwrap_or(Speaks::Unknown)
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// If it cannot be opened in time.
    pub(super) async fn open(&self) -> Result<Opened<S>, BoxError> {
        let deadline = Instant::now() + self.connect_timeout;
        let stream = self.connector.clone().oneshot(self.uri.clone()).await;
        let stream = stream.map_err(NoHttp2::name)?;
        let is_encrypted = self.uri.scheme() == Some(&Scheme::HTTPS);
        let is_http2 = match self.protocol {
            Protocol::Http2 if is_encrypted && !stream.chose_http2() => {
                return Err(NoHttp2(None).into());
            }
            Protocol::Http2 => true,
            Protocol::Auto | Protocol::Http1 => stream.chose_http2(),
        };
        let observer = Arc::clone(&self.observer);
        if !is_http2 {
            self.speaks.store(Speaks::Http1 as u8, Ordering::Relaxed);
            let connection = Connection::open(stream, self.limits.lifetime, observer).await?;
            return Ok(Opened::Http1(connection));
        }
        let opening = http2::Connection::open(stream, self.limits, observer);
        let opened = timeout_at(deadline, opening).await;
        let (connection, driver) = opened.map_err(|_| "the server allows no stream in time")??;
        self.speaks.store(Speaks::Http2 as u8, Ordering::Relaxed);
        Ok(Opened::Http2(connection, driver))
    }
}

impl Opening {
    /// An opening for which one call waits, and what tells its outcome.
    pub(super) fn begin() -> (Self, Opens) {
        let (sender, outcome) = watch::channel(None);
        let opening = Self { outcome, joined: 1 };
        (opening, Opens(sender))
    }

    /// Whether the outcome is to come.
    pub(super) fn is_under_way(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }

    /// Has another call wait, if no more than `max` do then.
    pub(super) fn join(&mut self, max: usize) -> Option<Self> {
        (self.joined < max).then(|| {
            self.joined += 1;
            self.handle()
        })
    }

    /// For the call that waits.
    pub(super) fn handle(&self) -> Self {
        Self {
            outcome: self.outcome.clone(),
            joined: 0,
        }
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// If the connection cannot be opened.
    pub(super) async fn wait(mut self) -> Result<(), BoxError> {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(Err(error))) => Err(SharedError(Arc::clone(error)).into()),
            Ok(_) => Ok(()),
            Err(_) => Err("the runtime that opened the connection has ended".into()),
        }
    }
}

impl Opens {
    /// The outcome is known.
    pub(super) fn end(self, outcome: Result<(), BoxError>) {
        self.0.send_replace(Some(outcome.map_err(Arc::from)));
    }
}

impl NoHttp2 {
    /// Gives an error its name if it is that of a server that has none of the protocols that
    /// it was offered (RFC 7301, section 3.2).
    fn name(error: BoxError) -> BoxError {
        let alert = rustls::AlertDescription::NoApplicationProtocol;
        let none = rustls::Error::AlertReceived(alert);
        let first: &(dyn error::Error + 'static) = &*error;
        let inner = |error: &&(dyn error::Error + 'static)| {
            let io = error.downcast_ref::<std::io::Error>();
            let inner = io.and_then(std::io::Error::get_ref);
            inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) == Some(&none)
                || error.downcast_ref::<rustls::Error>() == Some(&none)
        };
        let is_none = iter::successors(Some(first), |error| error.source()).any(|e| inner(&e));
        if is_none {
            Self(Some(error)).into()
        } else {
            error
        }
    }
}

impl fmt::Display for NoHttp2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server does not offer HTTP/2, and nothing else may be spoken")
    }
}

impl error::Error for NoHttp2 {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection for several calls could not be opened")
    }
}

impl error::Error for SharedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}
