//! A connection that is checked before it is used again, and closed if it cannot be.
//!
//! Servers close idle connections whenever they like, and the end of one may have
//! arrived without anything having been told yet: the task that would read it waits
//! for its turn. A request that is written then is lost, and nobody knows whether it
//! was carried out. So, before the first write after an answer, the socket itself is
//! asked.
//!
//! A server may also answer before it has read the request, and never read the rest of
//! it. hyper would go on trying to write that for ever (hyper#4176), so whoever has
//! read such an answer closes the connection.

use std::{
    error, fmt, io, iter,
    mem::{self, MaybeUninit},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::metrics::Open;

/// A connection, with TLS or without.
pub(super) type TcpOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection that is checked before it is used again.
pub(super) struct CheckedStream {
    stream: TcpOrTls,
    _open: Open,
    /// Whether something was read since a request was written: what is written next is
    /// another one.
    answered: bool,
    unwritten: Unwritten,
}

/// What a connection has not written yet. Clones are of the same connection; hyper
/// gives one along with each response.
#[derive(Clone, Default)]
pub(super) struct Unwritten(Arc<Mutex<Writing>>);

#[derive(Default)]
enum Writing {
    /// All is written, or hyper has yet to ask.
    #[default]
    Free,
    /// The peer takes no more for now, and this waits for it to.
    Blocked(Waker),
    /// Nothing more is to be written.
    Closed,
}

/// The server closed the connection before the request was written to it.
#[derive(Debug)]
pub(super) struct Stale;

impl CheckedStream {
    pub(super) fn new(stream: TcpOrTls, open: Open) -> Self {
        Self {
            stream,
            _open: open,
            answered: false,
            unwritten: Unwritten::default(),
        }
    }

    /// Makes sure, before something is written, that nothing has come in, neither the
    /// end nor anything else, for nothing was asked.
    fn check(&mut self) -> io::Result<()> {
        if self.unwritten.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
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

impl Unwritten {
    /// Closes the connection if it still has to write.
    pub(super) fn close(&self) {
        let mut writing = self.lock();
        if let Writing::Blocked(waker) = &*writing {
            waker.wake_by_ref();
            *writing = Writing::Closed;
        }
    }

    fn is_blocked(&self) -> bool {
        matches!(*self.lock(), Writing::Blocked(_))
    }

    fn is_closed(&self) -> bool {
        matches!(*self.lock(), Writing::Closed)
    }

    /// Keeps in mind whether a write has to wait.
    fn note<T>(&self, write: &Poll<T>, cx: &Context<'_>) {
        let mut writing = self.lock();
        if !matches!(*writing, Writing::Closed) {
            *writing = match write {
                Poll::Ready(_) => Writing::Free,
                Poll::Pending => Writing::Blocked(cx.waker().clone()),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.stream.connected().extra(self.unwritten.clone())
    }
}

impl Read for CheckedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // While a request is being written, what is written next is more of it.
        self.answered |= read.is_ready() && !self.unwritten.is_blocked();
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
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unwritten.note(&written, cx);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.unwritten.note(&written, cx);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            self.unwritten.note(&flushed, cx);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
