//! The life of one connection: its handshake, its calls, and its end.

use std::{
    convert::Infallible,
    net,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::either::Either;

use super::tls::Tls;
use crate::{
    call::{Peer, Stop, Stopping},
    server::{config::Limits, rpc::Stack},
};

/// The preface of an HTTP/2 client, RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The jitter of the age of a connection, as a part of it: clients that connected at one
/// moment must not reconnect at one moment.
const AGE_JITTER: f64 = 0.1;

/// Streams that a peer may reset before the server has accepted them: the bound of a rapid
/// reset (CVE-2023-44487, and CVE-2023-26964 in h2).
const MAX_PENDING_RESETS: usize = 20;

/// Streams that the server may have to reset because of a peer's protocol errors, in the
/// life of a connection: the bound of resets that a peer provokes (RUSTSEC-2024-0003, and
/// CVE-2025-8671, "made you reset").
///
/// h2 itself bounds floods of other frames: it answers PING and SETTINGS before it
/// reads on (CVE-2019-9512, -9515), and it limits CONTINUATION frames
/// (RUSTSEC-2024-0332) and small DATA frames (CVE-2019-9518).
const MAX_FAULTY_STREAMS: usize = 1024;

/// A connection that was accepted, by another runtime than the one that will serve it.
pub(super) struct Connection {
    pub(super) stream: net::TcpStream,
    pub(super) tls: Option<Tls>,
    pub(super) limits: Limits,
    /// The shutdown of the server.
    pub(super) stopping: Stopping,
}

/// Why a connection is to end.
#[derive(Debug)]
enum End {
    Idle,
    Old,
    Stopping,
}

/// Runs the tasks that hyper makes of the calls, each from its headers to the end of its
/// response, and counts those in flight.
#[derive(Clone)]
struct Calls(Arc<Mutex<InFlight>>);

struct InFlight {
    calls: usize,
    /// When a call ended last.
    changed: Instant,
}

/// A call in flight.
struct InFlightCall(Calls);

impl Connection {
    /// Serves calls until the peer closes the connection, or a limit or the shutdown of
    /// the server does.
    pub(super) async fn serve(self, stack: Arc<Stack>) {
        let Self {
            stream,
            tls,
            limits,
            mut stopping,
        } = self;
        let old = sleep(jittered(limits.max_connection_age, fastrand::f64()));

        let handshake = timeout(limits.handshake_timeout, begin(stream, tls));
        let (stream, certificate) = tokio::select! {
            biased;
            begun = handshake => match begun.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                Ok(begun) => begun,
                Err(error) => return tracing::debug!(%error, "the beginning of a connection failed"),
            },
            // No call can be in flight.
            () = stopping.stopped() => return,
        };

        let (stop, call_stopping) = Stop::new();
        let peer = Peer::new(certificate, call_stopping);
        let calls = Calls::new();
        let service = service_fn(move |request| {
            let call = Arc::clone(&stack).call(request, peer.clone());
            // hyper moves it around before it begins.
            Box::pin(async { Ok::<_, Infallible>(call.await) })
        });
        let connection =
            http2(&limits, calls.clone()).serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);

        let end = tokio::select! {
            ended = &mut connection => return log(ended),
            () = calls.idle_for(limits.max_connection_idle) => End::Idle,
            () = old => End::Old,
            () = stopping.stopped() => End::Stopping,
        };
        tracing::debug!(?end, "a connection is to end");
        drop(stop);
        // GOAWAY: the peer begins no more calls here, and those it has begun finish.
        connection.as_mut().graceful_shutdown();
        if let End::Stopping = end {
            // The server has a grace period of its own, for all connections at once.
            return log(connection.await);
        }
        if let Ok(ended) = timeout(limits.max_connection_age_grace, connection).await {
            log(ended);
        } else {
            tracing::debug!("a connection outlived its grace period, and is closed");
        }
    }
}

impl Calls {
    fn new() -> Self {
        let changed = Instant::now();
        Self(Arc::new(Mutex::new(InFlight { calls: 0, changed })))
    }

    /// Completes when no call was in flight for `time`.
    async fn idle_for(&self, time: Duration) {
        loop {
            let since = {
                let in_flight = self.in_flight();
                match in_flight.calls {
                    0 => in_flight.changed,
                    _ => Instant::now(),
                }
            };
            // The connection cannot have been idle for `time` any sooner.
            let until = since + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, task: F) {
        self.in_flight().calls += 1;
        let call = InFlightCall(self.clone());
        tokio::spawn(async move {
            task.await;
            drop(call);
        });
    }
}

impl Drop for InFlightCall {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight();
        in_flight.calls -= 1;
        in_flight.changed = Instant::now();
    }
}

/// The HTTP/2 settings of a connection.
fn http2(limits: &Limits, calls: Calls) -> http2::Builder<Calls> {
    let mut http2 = http2::Builder::new(calls);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_bytes)
        .keep_alive_interval(limits.keepalive_time)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_FAULTY_STREAMS);
    http2
}

/// Begins a connection: the TLS handshake, if there is one, and the preface, which hyper
/// reads again. Gives the names in the client's certificate, if it showed one.
async fn begin(
    stream: net::TcpStream,
    tls: Option<Tls>,
) -> io::Result<(impl AsyncRead + AsyncWrite, Option<Vec<String>>)> {
    let stream = TcpStream::from_std(stream)?;
    let (mut stream, certificate) = match tls {
        None => (Either::Left(stream), None),
        Some(tls) => {
            let (stream, certificate) = tls.accept(stream).await?;
            (Either::Right(stream), certificate)
        }
    };
    read_preface(&mut stream).await?;
    let (reader, writer) = io::split(stream);
    Ok((io::join(PREFACE.chain(reader), writer), certificate))
}

/// Reads the preface, and nothing behind it. The first byte that differs is an error, so
/// that a peer with another protocol learns at once.
async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = [0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() {
        let read = stream.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
        if buffer[..length] != PREFACE[..length] {
            let text = "the peer does not speak HTTP/2";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}

/// A time that is up to [`AGE_JITTER`] shorter or longer, by `random` from 0 to 1.
fn jittered(time: Duration, random: f64) -> Duration {
    time.mul_f64(1.0 + AGE_JITTER * (2.0 * random - 1.0))
}

fn log(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let age = Duration::from_mins(5);
        for (random, seconds) in [(0.0, 270), (0.5, 300), (1.0, 330)] {
            assert_eq!(jittered(age, random), Duration::from_secs(seconds));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_call() {
        let calls = Calls::new();
        let start = tokio::time::Instant::now();
        for seconds in [3, 12] {
            calls.execute(sleep(Duration::from_secs(seconds)));
        }
        calls.idle_for(Duration::from_secs(10)).await;
        assert_eq!(start.elapsed().as_secs(), 22);
    }
}
