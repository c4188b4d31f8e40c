//! The other end of a connection.

use std::sync::Arc;

use tokio::sync::watch;

/// The peer of a connection, which its calls share.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The names in the client certificate, DNS and URI, if the peer showed one.
    certificate: Option<Vec<String>>,
    stopping: Stopping,
}

/// Tells the calls of a connection that they are to end, by being dropped.
#[derive(Debug)]
pub struct Stop(watch::Sender<()>);

/// Learns that the server shuts down, or that the connection is to end. A stream that has
/// no end of its own ends then.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<()>);

impl Stop {
    /// A signal, and those who wait for it.
    #[must_use]
    pub fn new() -> (Self, Stopping) {
        let (sender, receiver) = watch::channel(());
        (Self(sender), Stopping(receiver))
    }

    /// Another one who waits for the signal.
    #[must_use]
    pub fn stopping(&self) -> Stopping {
        Stopping(self.0.subscribe())
    }
}

impl Stopping {
    /// Completes when the signal is given.
    pub async fn stopped(&mut self) {
        // Nothing is ever sent; the receiver learns that the sender was dropped.
        while self.0.changed().await.is_ok() {}
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.has_changed().is_err()
    }
}

impl Peer {
    /// A peer with the names in its client certificate, DNS and URI, if it showed one.
    #[must_use]
    pub fn new(certificate: Option<Vec<String>>, stopping: Stopping) -> Self {
        Self(Arc::new(Inner {
            certificate,
            stopping,
        }))
    }

    /// The names in the client certificate, DNS and URI. `None` if the peer showed none.
    #[must_use]
    pub fn certificate(&self) -> Option<&[String]> {
        self.0.certificate.as_deref()
    }

    /// The signal that calls are to end, because the server shuts down or the connection
    /// has reached its age.
    #[must_use]
    pub fn stopping(&self) -> &Stopping {
        &self.0.stopping
    }
}
