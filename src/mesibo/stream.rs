//! A connection that is checked before it is used again.
//!
//! Servers close idle connections whenever they like, and the end of one may have
//! arrived without anything having been told yet: the task that would read it waits
//! for its turn. A request that is written then is lost, and nobody knows whether it
//! was carried out. So, before the first write after an answer, the socket itself is
//! asked.

use std::{
    error, fmt, io, iter,
    mem::{self, MaybeUninit},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use socket2::SockRef;
use tokio::net::TcpStream;

/// A connection, with TLS or without.
pub(super) type TcpOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection that is checked before it is used again.
pub(super) struct CheckedStream {
    stream: TcpOrTls,
    /// Whether something was read since the last write: what is written next is a
    /// request of its own.
    answered: bool,
}

/// The server closed the connection before the request was written to it.
#[derive(Debug)]
pub(super) struct Stale;

impl CheckedStream {
    pub(super) fn new(stream: TcpOrTls) -> Self {
        Self {
            stream,
            answered: false,
        }
    }

    /// Makes sure that nothing has come in, neither the end nor anything else, for
    /// nothing was asked.
    fn check(&mut self) -> io::Result<()> {
        if !mem::take(&mut self.answered) {
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

impl Connection for CheckedStream {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for CheckedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.answered |= read.is_ready();
        read
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
