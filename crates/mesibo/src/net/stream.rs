//! A connection that is checked before it is used again.
//!
//! Servers close idle connections whenever they like, and the end of one may have
//! arrived without anything having been told yet. A request that is written then is
//! lost, and nobody knows whether it was carried out. So, before the first write of a
//! request, the socket itself is asked.

use std::{
    error, fmt, io, iter,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use socket2::SockRef;

use super::{connector::TcpOrTls, pool::Open};

/// A connection that is checked before it is used again.
pub(super) struct CheckedStream {
    stream: TcpOrTls,
    _open: Open,
    next_request: NextRequest,
}

/// Whether what is written next is the beginning of another request than the first.
/// Before the first, TLS may have sent something. Clones are of the same connection.
#[derive(Clone, Default)]
pub(super) struct NextRequest(Arc<AtomicBool>);

/// The server closed the connection before the request was written to it.
#[derive(Debug)]
pub(super) struct Stale;

impl CheckedStream {
    pub(super) fn new(stream: TcpOrTls, open: Open) -> (Self, NextRequest) {
        let next_request = NextRequest::default();
        let checked = Self {
            stream,
            _open: open,
            next_request: next_request.clone(),
        };
        (checked, next_request)
    }

    /// Makes sure, before something is written, that nothing has come in, neither the
    /// end nor anything else, for nothing was asked.
    fn check(&self) -> io::Result<()> {
        if !self.next_request.0.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let socket = match &self.stream {
            MaybeHttpsStream::Http(tcp) => tcp.inner(),
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        };
        match SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::ConnectionAborted, Stale)),
        }
    }
}

impl NextRequest {
    /// Another request begins.
    pub(super) fn begins(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stale {
    /// Whether this is why a request failed.
    pub(super) fn is_behind(error: &(dyn error::Error + 'static)) -> bool {
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

impl Read for CheckedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for CheckedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
