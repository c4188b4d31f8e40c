//! The life of one connection: its handshake, its calls, and its end.

use std::{
    future::pending,
    net::{self, SocketAddr},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::{
    rt::Executor,
    server::conn::{self, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::either::Either;
use tonic::Code;

use super::{accept::Throttle, http1, proxy_protocol, rewound::Rewound, tls::Tls};
use crate::{
    call::{Certificate, Peer, Stop, Stopping},
    server::{
        config::{Limits, STREAM_BYTES},
        metrics::ServerMetrics,
        rpc::{
            Stack,
            usage::{Activity, Usage},
        },
    },
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

/// How much of one request body h2 holds until it is read. Bodies are read as they come,
/// but for a stream whose service takes its time. This is what RFC 9113 begins with: at a
/// round trip of 10 ms, one call sends 6 MiB a second.
const STREAM_WINDOW: u32 = 64 << 10;

/// How much of all request bodies of a connection h2 holds until they are read. Streams that
/// wait for their rate leave their windows full, and must not hold up the other calls of the
/// connection. What h2 needs besides for frames of less than 256 bytes it bounds by half of
/// this, and ends the connection above it: a full window of small items has 300 KiB of that.
/// The memory of both is counted with each stream, [`STREAM_BYTES`].
const CONNECTION_WINDOW: u32 = 4 << 20;

const _: () = assert!(STREAM_WINDOW as usize * 4 <= STREAM_BYTES);

/// How much of a response h2 holds for a peer that does not read it.
const SEND_BUFFER: usize = 64 << 10;

/// The least buffer that hyper takes for the headers of a request of HTTP/1.1.
const LEAST_HTTP1_BUFFER: usize = 8 << 10;

/// How long a connection that has to go for another may take to close after its GOAWAY.
/// Calls in flight on it have no caller.
const DISPLACED_GRACE: Duration = Duration::from_secs(1);

/// A connection that was accepted, by another runtime than the one that will serve it.
pub(super) struct Connection {
    pub(super) stream: net::TcpStream,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Tls>,
    /// Whether a balancer in front says whose connection it is.
    pub(super) is_proxied: bool,
    pub(super) limits: Limits,
    pub(super) usage: Arc<Usage>,
    /// The shutdown of the server.
    pub(super) stopping: Stopping,
    /// The signal that the connection has to go for another.
    pub(super) displaced: Stopping,
    pub(super) metrics: ServerMetrics,
    /// For the log lines of connections that speak HTTP/1.
    pub(super) warned: Arc<Throttle>,
}

/// A connection whose client has begun to speak.
struct Begun<S> {
    /// It has the bytes that were read already.
    stream: S,
    /// Whether it began with a request of HTTP/1, and not with the preface of HTTP/2.
    is_http1: bool,
    address: SocketAddr,
    /// What the client showed, if it showed one.
    certificate: Option<Certificate>,
}

/// What ends a connection, besides its peer.
struct Ends<Old, Expired> {
    /// How long it may be without a call.
    max_idle: Duration,
    /// How long its calls may take to finish when it is idle, old or expired.
    grace: Duration,
    /// Its calls, which learn of the end by the drop of `stop`.
    calls: Calls,
    usage: Arc<Usage>,
    stop: Stop,
    old: Old,
    expired: Expired,
    displaced: Stopping,
    stopping: Stopping,
}

/// Why a connection is to end.
#[derive(Debug)]
enum End {
    Idle,
    Old,
    Displaced,
    /// Its thread is busy, and another is not.
    Moved,
    /// The client's certificate is no longer valid.
    Expired,
    Stopping,
}

/// Runs the tasks that hyper makes of the calls, each from its headers to the end of its
/// response, and counts those in flight.
#[derive(Clone)]
struct Calls(Arc<Activity>);

impl Connection {
    /// Serves calls until the peer closes the connection, or a limit or the shutdown of
    /// the server does.
    ///
    /// The futures of the beginning and of all that follows have boxes of their own. One
    /// future of both would keep the memory of a handshake as long as the connection is open.
    pub(super) fn serve(self, stack: Arc<Stack>) -> impl Future<Output = ()> + Send {
        let beginning = Box::pin(self.begin(stack));
        async {
            let rest = beginning.await;
            if let Some(rest) = rest {
                rest.await;
            }
        }
    }

    /// Begins a connection, and gives the rest of its life. `None` if it has ended.
    async fn begin(self, stack: Arc<Stack>) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let Self {
            stream,
            address,
            tls,
            is_proxied,
            limits,
            usage,
            mut stopping,
            mut displaced,
            metrics,
            warned,
        } = self;
        let old = sleep(jittered(limits.max_connection_age, fastrand::f64()));

        let begun = begin(stream, tls, is_proxied, stack.speaks_http1());
        let begun = timeout(limits.handshake_timeout, begun);
        let begun = tokio::select! {
            biased;
            begun = begun => begun.unwrap_or_else(|elapsed| Err(elapsed.into())),
            // No call can be in flight.
            () = stopping.stopped() => return None,
            () = displaced.stopped() => return None,
        };
        let begun = match begun {
            Ok(Some(begun)) => begun,
            Ok(None) => {
                metrics.start(None, None).finish(Code::Unknown);
                if warned.passes() {
                    tracing::warn!(%address, "a client speaks HTTP/1, and was told that this \
                                    port speaks gRPC over HTTP/2");
                }
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, "the beginning of a connection failed");
                return None;
            }
        };

        let (stop, call_stopping) = Stop::new();
        let valid_until = begun.certificate.as_ref().map(|it| it.valid_until);
        let peer = Peer::new(begun.address, begun.certificate, call_stopping);
        let calls = Calls(Arc::clone(&usage.calls));
        let of_connection = Arc::clone(&usage);
        let service = service_fn(move |request| Arc::clone(&stack).call(request, &peer, &usage));
        let stream = TokioIo::new(begun.stream);
        let ends = Ends {
            max_idle: limits.max_connection_idle,
            grace: limits.max_connection_age_grace,
            calls: calls.clone(),
            usage: of_connection,
            stop,
            old,
            expired: passed(valid_until),
            displaced,
            stopping,
        };
        // In a box as well: the future that serves it would have room for it twice.
        Some(if begun.is_http1 {
            let connection = http1(&limits).serve_connection(stream, service);
            Box::pin(ends.run(Box::pin(connection)))
        } else {
            let connection = http2(&limits, calls).serve_connection(stream, service);
            Box::pin(ends.run(Box::pin(connection)))
        })
    }
}

impl<Old: Future<Output = ()>, Expired: Future<Output = ()>> Ends<Old, Expired> {
    /// Serves a connection until its peer closes it, or it has to end.
    async fn run(
        mut self,
        mut connection: Pin<Box<impl GracefulConnection<Error = hyper::Error>>>,
    ) {
        let end = tokio::select! {
            ended = &mut connection => return log(ended),
            () = self.calls.idle_for(self.max_idle) => End::Idle,
            () = self.old => End::Old,
            () = self.displaced.stopped() => {
                if self.usage.is_moved.load(Ordering::Relaxed) {
                    End::Moved
                } else {
                    End::Displaced
                }
            }
            () = self.expired => End::Expired,
            () = self.stopping.stopped() => End::Stopping,
        };
        tracing::debug!(?end, "a connection is to end");
        drop(self.stop);
        // The peer begins no more calls here, and those it has begun finish: GOAWAY, or
        // `connection: close`.
        connection.as_mut().graceful_shutdown();
        let grace = match end {
            // The server has a grace period of its own, for all connections at once.
            End::Stopping => return log(connection.await),
            End::Displaced => DISPLACED_GRACE,
            End::Idle | End::Old | End::Expired | End::Moved => self.grace,
        };
        if let Ok(ended) = timeout(grace, connection).await {
            log(ended);
        } else {
            tracing::debug!("a connection outlived its grace period, and is closed");
        }
    }
}

impl Calls {
    /// Completes when no call was in flight for `time`.
    async fn idle_for(&self, time: Duration) {
        loop {
            let since = self.0.idle_since().unwrap_or_else(Instant::now);
            // The connection cannot have been idle for `time` any sooner.
            let until = since + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, task: F) {
        let call = self.0.begin();
        tokio::spawn(task.map(|()| drop(call)));
    }
}

/// The HTTP/2 settings of a connection.
fn http2(limits: &Limits, calls: Calls) -> http2::Builder<Calls> {
    let mut http2 = http2::Builder::new(calls);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.keepalive_time)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_FAULTY_STREAMS);
    http2
}

/// The HTTP/1.1 settings of a connection. It has no pings: a client that is silent for as
/// long as one of HTTP/2 may be has no request under way, or one whose headers never come.
fn http1(limits: &Limits) -> conn::http1::Builder {
    let buffer = usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX);
    let mut http1 = conn::http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keepalive_time)
        .max_buf_size(buffer.max(LEAST_HTTP1_BUFFER));
    http1
}

/// Begins a connection: the header of a balancer and the TLS handshake, if there are any,
/// and the preface, which hyper reads again. `None` if the client speaks HTTP/1, which is
/// not spoken here, and was told so.
async fn begin(
    stream: net::TcpStream,
    tls: Option<Tls>,
    is_proxied: bool,
    speaks_http1: bool,
) -> io::Result<Option<Begun<impl AsyncRead + AsyncWrite + Unpin + 'static>>> {
    let mut stream = TcpStream::from_std(stream)?;
    let mut address = stream.peer_addr()?;
    if is_proxied && let Some(client) = proxy_protocol::read(&mut stream).await? {
        address = client;
    }
    // An IPv4 address that came over IPv6 is shown as what it is.
    address.set_ip(address.ip().to_canonical());
    let (mut stream, certificate) = match tls {
        None => (Either::Left(stream), None),
        Some(tls) => {
            let (stream, certificate) = tls.accept(stream).await?;
            (Either::Right(Box::new(stream)), certificate)
        }
    };
    let other = read_preface(&mut stream).await?;
    let is_http1 = other.is_some();
    if is_http1 && !speaks_http1 {
        http1::answer(&mut stream).await;
        return Ok(None);
    }
    let read = other.unwrap_or(Bytes::from_static(PREFACE));
    Ok(Some(Begun {
        stream: Rewound::new(read, stream),
        is_http1,
        address,
        certificate,
    }))
}

/// Reads the preface, and nothing behind it. Gives what was read of a request of HTTP/1,
/// and an error for any other protocol, at the first byte that differs, so that the peer
/// learns at once.
async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut buffer = [0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() {
        let read = stream.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
        let sent = &buffer[..length];
        if sent != &PREFACE[..length] {
            if http1::is_spoken(sent) {
                return Ok(Some(Bytes::copy_from_slice(sent)));
            }
            let text = "the peer does not speak HTTP/2";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(None)
}

/// Completes at a time, or never if there is none.
async fn passed(time: Option<SystemTime>) {
    match time {
        Some(time) => sleep(time.duration_since(SystemTime::now()).unwrap_or_default()).await,
        None => pending().await,
    }
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
        let calls = Calls(Arc::default());
        let start = tokio::time::Instant::now();
        for seconds in [3, 12] {
            calls.execute(sleep(Duration::from_secs(seconds)));
        }
        calls.idle_for(Duration::from_secs(10)).await;
        assert_eq!(start.elapsed().as_secs(), 22);
    }
}
