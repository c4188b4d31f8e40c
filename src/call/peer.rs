//! The other end of a connection.

use std::{fmt, net::SocketAddr, sync::Arc, time::SystemTime};

use tokio::sync::watch;

/// The peer of a connection, which its calls share.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    /// The address as text, for the lines of all calls.
    shown: String,
    certificate: Option<Certificate>,
    stopping: Stopping,
}

/// A client certificate that was verified at the beginning of a connection.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The names, DNS and URI.
    pub names: Vec<String>,
    /// The serial number, which its authority gave it.
    pub serial: Serial,
    /// The end of the validity.
    pub valid_until: SystemTime,
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
            shown: address.to_string(),
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

    /// The address as text.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0.shown
    }

    /// The client certificate. `None` if the peer showed none, or one that is no longer
    /// valid: its connection is about to end, and a peer that ignores the GOAWAY begins no
    /// more calls by it.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        let certificate = self.0.certificate.as_ref();
        certificate.filter(|certificate| SystemTime::now() <= certificate.valid_until)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn peer(certificate: Option<Certificate>) -> (Stop, Peer) {
        let (stop, stopping) = Stop::new();
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), certificate, stopping);
        (stop, peer)
    }

    #[tokio::test(start_paused = true)]
    async fn every_call_of_a_connection_learns_that_it_is_to_end() {
        let (stop, peer) = peer(None);
        let mut calls = [peer.stopping().clone(), peer.clone().stopping().clone()];
        for call in &mut calls {
            assert!(!call.is_stopped());
            timeout(Duration::from_hours(1), call.stopped())
                .await
                .unwrap_err();
        }
        let waits = tokio::spawn({
            let mut call = peer.stopping().clone();
            async move { call.stopped().await }
        });
        tokio::task::yield_now().await;
        drop(stop);
        waits.await.unwrap();
        // A call that begins afterwards learns it as well.
        for mut call in calls.into_iter().chain([peer.stopping().clone()]) {
            assert!(call.is_stopped());
            call.stopped().await;
        }
    }

    #[test]
    fn a_certificate_is_known_until_the_end_of_its_validity() {
        let certificate = |valid_until| Certificate {
            names: vec!["reader.example".into()],
            serial: Serial([1].into()),
            valid_until,
        };
        let now = SystemTime::now();
        let hour = Duration::from_hours(1);
        let (_stop, valid) = peer(Some(certificate(now + hour)));
        assert_eq!(valid.certificate().unwrap().names, ["reader.example"]);
        let (_stop, expired) = peer(Some(certificate(now - hour)));
        assert!(expired.certificate().is_none());
    }
}
