//! A stream that is checked before a pooled connection sends another request on it.
//!
//! Servers close idle connections whenever they like, and the end of one may have arrived
//! before anything noticed. A request that is written then is lost, and nobody knows whether
//! it was carried out. So the socket itself is asked before the first write of a request.

use std::{
    error, fmt, io, iter,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;

use crate::{config::Protocol, observer::Observer};

/// A stream over a TCP socket.
pub(crate) trait Transport: Read + Write + Send + Unpin + 'static {
    /// The socket beneath everything else.
    fn socket(&self) -> SockRef<'_>;

    /// Whether the server chose HTTP/2 when the stream was opened.
    fn chose_http2(&self) -> bool;
}

/// A stream that is checked before another request is sent on it. The observer is told when
/// it is opened and when it is closed.
pub(super) struct CheckedStream<S> {
    stream: S,
    observer: Arc<dyn Observer>,
    next_request: NextRequest,
}

/// Whether the next write is the first of another request. It is not set for the first
/// request on a stream, before which TLS may have received something. All clones are of the
/// same stream.
#[derive(Clone, Default)]
pub(super) struct NextRequest(Arc<AtomicBool>);

/// The server closed the connection before the request was written to it.
#[derive(Debug)]
pub(super) struct Stale;

impl<S: Transport> CheckedStream<S> {
    pub(super) fn new(stream: S, observer: Arc<dyn Observer>) -> (Self, NextRequest) {
        observer.connection_opened(Protocol::HTTP1);
        let next_request = NextRequest::default();
        let checked = Self {
            stream,
            observer,
            next_request: next_request.clone(),
        };
        (checked, next_request)
    }

    /// Makes a write. Before the first one of a request, makes sure that nothing was
    /// received: neither the end of the stream, nor data that no request has asked for.
    fn checked(
        &mut self,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.next_request.0.load(Ordering::Relaxed) {
            match self.stream.socket().peek(&mut [MaybeUninit::uninit()]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => {
                    let stale = io::Error::new(io::ErrorKind::ConnectionAborted, Stale);
                    return Poll::Ready(Err(stale));
                }
            }
        }
        let written = ready!(write(Pin::new(&mut self.stream)));
        self.next_request.0.store(false, Ordering::Relaxed);
        Poll::Ready(written)
    }
}

impl<S> Drop for CheckedStream<S> {
    fn drop(&mut self) {
        self.observer.connection_closed(Protocol::HTTP1);
    }
}

impl NextRequest {
    /// Has the stream checked before its next write.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stale {
    /// Whether a request failed because its connection was stale.
    pub(super) fn caused(error: &(dyn error::Error + 'static)) -> bool {
        iter::successors(Some(error), |error| error.source())
            .filter_map(|error| error.downcast_ref::<io::Error>()?.get_ref())
            .any(<dyn error::Error + Send + Sync>::is::<Self>)
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection while it was idle")
    }
}

impl error::Error for Stale {}

impl<S: Transport> Read for CheckedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Transport> Write for CheckedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.checked(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.checked(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
