//! A stream of HTTP/2 that is watched.
//!
//! The h2 crate tells a call that its stream has failed, and not whether anything of the
//! stream had been written by then, nor which stream a GOAWAY names. Both decide whether a
//! request may be repeated, so the heads of all frames are read as they pass.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::yield_now,
    time::Instant,
};

use super::frames::{Frame, Frames, HEADERS};
use crate::{
    config::Protocol,
    net::stream::{Stale, Transport},
    observer::Observer,
};

/// A stream of HTTP/2 whose frames are watched. The observer is told when it is opened and
/// when it is closed.
pub(super) struct Watched<S> {
    stream: TokioIo<S>,
    observer: Arc<dyn Observer>,
    seen: Arc<Seen>,
    incoming: Frames,
    outgoing: Frames,
    /// The pause before a write, in which the runtime looks for what was received.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    was_paused: bool,
}

/// What was seen of a connection. The numbers are monotonic.
pub(super) struct Seen {
    opened_at: Instant,
    /// When something was read last, in nanoseconds since the connection was opened.
    read_at: AtomicU64,
    /// The highest stream of which anything was written.
    written: AtomicU32,
    /// The last stream that the server may process: of its lowest GOAWAY.
    last: AtomicU32,
    /// Whether the next write may be the first of a request.
    begins: AtomicBool,
    /// Whether nothing more is read or written.
    ended: AtomicBool,
}

impl<S: Transport> Watched<S> {
    pub(super) fn new(stream: S, observer: Arc<dyn Observer>) -> (Self, Arc<Seen>) {
        observer.connection_opened(Protocol::HTTP2);
        let seen = Arc::new(Seen::new());
        let watched = Self {
            stream: TokioIo::new(stream),
            observer,
            seen: Arc::clone(&seen),
            incoming: Frames::of_server(),
            outgoing: Frames::of_client(),
            pause: None,
            was_paused: false,
        };
        (watched, seen)
    }

    /// Makes a write. Before one that may be the first of a request, asks the socket whether
    /// the server has closed the connection: the end may have arrived before anything
    /// noticed, and what is written then is lost. If there is anything else to be read, it is
    /// read first, for it may be a GOAWAY.
    fn checked(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<S>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // What was called unsent must not be sent after all.
        if self.seen.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let begins = self.seen.begins.swap(false, Ordering::Relaxed);
        let arrived = if begins {
            self.poll_arrived(cx)
        } else {
            Poll::Ready(Ok(()))
        };
        let written = match arrived {
            Poll::Ready(Ok(())) => write(Pin::new(&mut self.stream), cx),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        match &written {
            Poll::Ready(Ok(_)) => self.was_paused = false,
            Poll::Ready(Err(_)) => self.seen.end(),
            // It is checked again, for it may take a while.
            Poll::Pending if begins => self.seen.begin_request(),
            Poll::Pending => {}
        }
        written
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.stream.inner().socket();
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(1..) if self.was_paused => {}
            // It is read before the next write, once the runtime has seen it.
            Ok(1..) => {
                let pause = self.pause.get_or_insert_with(|| Box::pin(yield_now()));
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                self.was_paused = true;
            }
            _ => {
                let stale = io::Error::new(io::ErrorKind::ConnectionAborted, Stale);
                return Poll::Ready(Err(stale));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let written = &self.seen.written;
        self.outgoing.pass(bytes, |Frame { kind, stream, .. }| {
            if kind == HEADERS {
                written.fetch_max(stream, Ordering::Relaxed);
            }
        });
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.observer.connection_closed(Protocol::HTTP2);
    }
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            opened_at: Instant::now(),
            read_at: AtomicU64::new(0),
            written: AtomicU32::new(0),
            last: AtomicU32::new(u32::MAX),
            begins: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Another request is about to be written.
    pub(super) fn begin_request(&self) {
        self.begins.store(true, Ordering::Relaxed);
    }

    /// When something was read last.
    pub(super) fn read_at(&self) -> Instant {
        self.opened_at + Duration::from_nanos(self.read_at.load(Ordering::Relaxed))
    }

    /// Whether the server has said that it takes no more streams.
    pub(super) fn is_going_away(&self) -> bool {
        self.last.load(Ordering::Relaxed) != u32::MAX
    }

    /// Nothing more is read or written.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether nothing more is read or written.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the server surely has not carried out what a stream asks: it said so in a
    /// GOAWAY, or the connection ended before anything of the stream was written.
    pub(super) fn is_untouched(&self, stream: u32) -> bool {
        stream > self.last.load(Ordering::Relaxed)
            || self.is_ended() && stream > self.written.load(Ordering::Relaxed)
    }

    /// Something was read.
    pub(super) fn read(&self) {
        let nanos = self.opened_at.elapsed().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.read_at.store(nanos, Ordering::Relaxed);
    }
}

impl<S: Transport> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (held, is_full) = (buffer.filled().len(), buffer.remaining() == 0);
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer));
        let bytes = &buffer.filled()[held..];
        if !bytes.is_empty() {
            this.seen.read();
        } else if !is_full {
            this.seen.end();
        }
        read?;
        let last_stream = &this.seen.last;
        this.incoming.pass(bytes, |Frame { last, .. }| {
            if let Some(last) = last {
                last_stream.fetch_min(last, Ordering::Relaxed);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.checked(cx, |stream, cx| stream.poll_write(cx, bytes)))?;
        this.wrote(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written =
            ready!(this.checked(cx, |stream, cx| stream.poll_write_vectored(cx, slices)))?;
        let mut left = written;
        for slice in slices {
            let bytes = &slice[..left.min(slice.len())];
            this.wrote(bytes);
            left -= bytes.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
