//! One HTTP/1 connection, which the call that uses it drives.
//!
//! A connection has no task of its own: the call polls it, so that no part of a call goes
//! from one task to another and back. This rests on two properties of hyper: its connection
//! wakes the task that polled it last when a request or a body can go on, and it does
//! nothing in between. The tests run it over a stream that yields at every poll.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tokio::{task::unconstrained, time::Instant};

use super::{
    body::FormBody,
    stream::{CheckedStream, NextRequest, Transport},
};
use crate::observer::Observer;

/// An open connection.
pub(super) struct Connection<S: Transport> {
    sender: SendRequest<FormBody>,
    driver: Driver<S>,
    next_request: NextRequest,
    is_reused: bool,
    expires_at: Instant,
}

/// hyper's side of a connection, which reads and writes, until the connection ends.
struct Driver<S: Transport>(Option<Box<http1::Connection<CheckedStream<S>, FormBody>>>);

impl<S: Transport> Connection<S> {
    /// A connection over a stream, for requests within `lifetime`.
    ///
    /// # Errors
    ///
    /// Never: HTTP/1 has no handshake. The signature is hyper's.
    pub(super) async fn open(
        stream: S,
        lifetime: Duration,
        observer: Arc<dyn Observer>,
    ) -> hyper::Result<Self> {
        let (stream, next_request) = CheckedStream::new(stream, observer);
        let (sender, driver) = http1::handshake(stream).await?;
        Ok(Self {
            sender,
            driver: Driver(Some(Box::new(driver))),
            next_request,
            is_reused: false,
            expires_at: Instant::now() + lifetime,
        })
    }

    /// Whether the connection has had an answer before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the connection is too old for another request.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.expires_at
    }

    /// Sends a request, and reads its response. If the future is dropped, the connection is
    /// in an unknown state, and must not be used again.
    ///
    /// # Errors
    ///
    /// If no response comes.
    pub(super) fn send<T, F: Future<Output = T>>(
        &mut self,
        request: Request<FormBody>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> impl Future<Output = hyper::Result<T>> {
        if self.is_reused {
            self.next_request.begin();
        }
        let response = self.sender.send_request(request);
        let driver = &mut self.driver;
        async move {
            // The exchange goes on after the driver was polled, and at no other time: it needs
            // neither a waker of its own, nor tokio's budget, which would wait for that waker.
            let exchange = async { Ok(read(response.await?).await) };
            let mut exchange = pin!(unconstrained(exchange));
            poll_fn(|context| {
                driver.poll(context);
                exchange
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
            })
            .await
        }
    }

    /// Prepares the connection for another request. Returns whether one can be sent: not
    /// on a connection that is too old, that its server has closed, or whose server answered
    /// before it had the whole request, and may never read the rest (hyper#4176).
    pub(super) fn reuse(&mut self) -> bool {
        // The driver sees that the response is over. Nothing is to wake the task: whatever
        // comes next, the check before the next request finds it.
        self.driver.poll(&mut Context::from_waker(Waker::noop()));
        self.is_reused = true;
        self.sender.is_ready() && !self.is_expired(Instant::now())
    }
}

impl<S: Transport> Driver<S> {
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(connection).poll(context).is_ready()
        {
            // The exchange gets the error, if the connection ended with one.
            self.0 = None;
        }
    }
}
