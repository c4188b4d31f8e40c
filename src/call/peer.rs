//! The other end of a connection.

use std::{fmt, net::SocketAddr, sync::Arc};

use tokio::sync::watch;

/// The peer of a connection, which its calls share.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    certificate: Option<Certificate>,
    stopping: Stopping,
}

/// What is known of a client certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The names, DNS and URI.
    pub names: Vec<String>,
    /// The serial number, which its authority gave it.
    pub serial: Serial,
}

/// The serial number of a certificate: at most 20 bytes, RFC 5280, section 4.1.2.2. It is
/// shown in hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Serial(pub Arc<[u8]>);

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
    /// A peer at an address, with its client certificate if it showed one.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: Option<Certificate>, stopping: Stopping) -> Self {
        Self(Arc::new(Inner {
            address,
            certificate,
            stopping,
        }))
    }

    /// The address: that of the client, also behind a balancer that speaks the PROXY
    /// protocol.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The client certificate. `None` if the peer showed none.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.0.certificate.as_ref()
    }

    /// The signal that calls are to end, because the server shuts down or the connection
    /// has reached its age.
    #[must_use]
    pub fn stopping(&self) -> &Stopping {
        &self.0.stopping
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}
