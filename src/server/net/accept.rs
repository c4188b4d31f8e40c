//! Accepting connections, with a back-off where the system has no more to give.

use std::{
    io,
    net::{self, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// The pause after the first accept that fails, doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause after an accept that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shortest time between two log lines that connections cause.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Unanswered probes of a silent peer after which TCP closes the connection.
const TCP_KEEPALIVE_RETRIES: u32 = 3;

/// Accepts connections. It never fails: a system that is out of file descriptors has
/// some again later.
pub(super) struct Acceptor {
    listener: TcpListener,
    keepalive: TcpKeepalive,
    pause: Duration,
    warned: Throttle,
}

/// Lets a log line pass once a second, so that a flood of connections is no flood of
/// lines.
#[derive(Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

impl Acceptor {
    /// Accepts from `listener`. TCP probes a peer that is silent for `keepalive_time`,
    /// every `keepalive_timeout`.
    pub(super) fn new(
        listener: TcpListener,
        keepalive_time: Duration,
        keepalive_timeout: Duration,
    ) -> Self {
        // The unit of the socket options is a second, and 0 is invalid.
        let seconds = |time: Duration| time.max(Duration::from_secs(1));
        Self {
            listener,
            keepalive: TcpKeepalive::new()
                .with_time(seconds(keepalive_time))
                .with_interval(seconds(keepalive_timeout))
                .with_retries(TCP_KEEPALIVE_RETRIES),
            pause: FIRST_PAUSE,
            warned: Throttle::default(),
        }
    }

    /// The next connection, not yet bound to a runtime, and the address of its peer.
    /// Dropping the future loses no connection.
    pub(super) async fn accept(&mut self) -> (net::TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    self.pause = FIRST_PAUSE;
                    if let Err(error) = self.set_options(&stream) {
                        tracing::debug!(%error, "cannot set the options of a socket");
                    }
                    match stream.into_std() {
                        Ok(stream) => return (stream, address),
                        Err(error) => tracing::debug!(%error, "a connection failed"),
                    }
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection failed before it was accepted");
                }
                // Out of file descriptors or memory. The connection is still there, so
                // that the next accept fails at once as well, and a loop without a
                // pause would spin.
                Err(error) => {
                    if self.warned.passes() {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    let pause = self.pause;
                    self.pause = (pause * 2).min(LONGEST_PAUSE);
                    sleep(pause).await;
                }
            }
        }
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        // Responses are small and written whole: Nagle's algorithm would only delay them.
        stream.set_nodelay(true)?;
        // HTTP/2 has PINGs of its own, but not before its handshake.
        SockRef::from(stream).set_tcp_keepalive(&self.keepalive)
    }
}

impl Throttle {
    pub(super) fn passes(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = last.is_none_or(|last| now - last >= LOG_INTERVAL);
        if passes {
            *last = Some(now);
        }
        passes
    }
}

/// Whether an accept failed because of the one connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_sends_at_once_and_is_kept_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (time, interval) = (Duration::from_mins(1), Duration::from_millis(1));
        let (stream, _) = Acceptor::new(listener, time, interval).accept().await;
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), time);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_passes_once_a_second() {
        let throttle = Throttle::default();
        let mut passed = 0;
        for _ in 0..30 {
            passed += usize::from(throttle.passes());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(passed, 3);
    }
}
