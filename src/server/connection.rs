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
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::either::Either;

use super::{Limits, layers::Layers, tls::Tls};
use crate::access::Peer;

/// What an HTTP/2 client says first, RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How far the age of a connection may be from the limit, as a part of it: what
/// connected at one moment must not reconnect at one moment.
const AGE_JITTER: f64 = 0.1;

/// How many streams a peer may reset before the server has looked at them. It bounds
/// what a rapid reset (CVE-2023-44487, and CVE-2023-26964 in h2) piles up.
const MAX_PENDING_RESETS: usize = 20;

/// How many streams the server may have to reset because of a peer's mistakes, in the
/// life of a connection. It bounds the work that mistakes on purpose make
/// (RUSTSEC-2024-0003, and CVE-2025-8671, "made you reset").
///
/// h2 itself bounds floods of other frames: it answers PING and SETTINGS before it
/// reads on (CVE-2019-9512, -9515), and it limits CONTINUATION frames
/// (RUSTSEC-2024-0332) and small DATA frames (CVE-2019-9518).
const MAX_FAULTY_STREAMS: usize = 1024;

/// A connection that was accepted, by another runtime than the one that will serve it.
pub(super) struct Connection {
    stream: net::TcpStream,
    tls: Option<Tls>,
    limits: Limits,
    /// Changes once the server stops.
    stopping: watch::Receiver<()>,
}

/// Why a connection is to end.
#[derive(Debug)]
enum End {
    Idle,
    Old,
    Stopping,
}

/// The calls in flight. hyper makes a task of each, from its headers to the end of its
/// answer, and this runs these tasks.
#[derive(Clone)]
struct Calls(Arc<Mutex<InFlight>>);

struct InFlight {
    calls: usize,
    /// When one ended last.
    changed: Instant,
}

/// One of the calls in flight.
struct Call(Calls);

impl Connection {
    pub(super) fn new(
        stream: net::TcpStream,
        tls: Option<Tls>,
        limits: Limits,
        stopping: watch::Receiver<()>,
    ) -> Self {
        Self {
            stream,
            tls,
            limits,
            stopping,
        }
    }

    /// Serves calls until the peer closes the connection, or a limit or the end of the
    /// server does.
    pub(super) async fn serve(self, layers: Arc<Layers>) {
        let Self {
            stream,
            tls,
            limits,
            mut stopping,
        } = self;
        let old = sleep(jittered(limits.max_connection_age, fastrand::f64()));

        let handshake = timeout(limits.handshake_timeout, begin(stream, tls));
        let (stream, peer) = tokio::select! {
            biased;
            begun = handshake => match begun.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                Ok(begun) => begun,
                Err(error) => return tracing::debug!(%error, "a connection began badly"),
            },
            // No call can be in flight.
            _ = stopping.changed() => return,
        };

        let calls = Calls::new();
        let service = service_fn(move |request| {
            let call = Arc::clone(&layers).call(request, peer.clone());
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
            _ = stopping.changed() => End::Stopping,
        };
        tracing::debug!(?end, "a connection is to end");
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

    /// Completes once no call was in flight for `time`.
    async fn idle_for(&self, time: Duration) {
        loop {
            let since = {
                let in_flight = self.in_flight();
                match in_flight.calls {
                    0 => in_flight.changed,
                    _ => Instant::now(),
                }
            };
            // No sooner, whatever happens until then.
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
        let call = Call(self.clone());
        tokio::spawn(async move {
            task.await;
            drop(call);
        });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight();
        in_flight.calls -= 1;
        in_flight.changed = Instant::now();
    }
}

/// HTTP/2 within limits.
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

/// The beginning of a connection: TLS, if there is to be any, and the preface, which is
/// there to be read again.
async fn begin(
    stream: net::TcpStream,
    tls: Option<Tls>,
) -> io::Result<(impl AsyncRead + AsyncWrite, Peer)> {
    let stream = TcpStream::from_std(stream)?;
    let (mut stream, peer) = match tls {
        None => (Either::Left(stream), Peer::default()),
        Some(tls) => {
            let (stream, peer) = tls.accept(stream).await?;
            (Either::Right(stream), peer)
        }
    };
    read_preface(&mut stream).await?;
    let (reader, writer) = io::split(stream);
    Ok((io::join(PREFACE.chain(reader), writer), peer))
}

/// Reads the preface, and nothing after it. What differs from it is an error at
/// once: a peer that speaks something else need not wait.
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

/// A time that is up to [`AGE_JITTER`] shorter or longer, as `random` from 0 to 1
/// says.
fn jittered(time: Duration, random: f64) -> Duration {
    time.mul_f64(1.0 + AGE_JITTER * (2.0 * random - 1.0))
}

fn log(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
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
