//! Connections: bounded in number and time, and closed on purpose where a fault rule
//! says so.
//!
//! `axum::serve` has neither limits nor a way to close a connection without a response.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::Hangup;
use crate::hub::Hub;

/// The most bytes of a request's head.
const HEAD_LIMIT: usize = 64 * 1024;

/// How long the requests in flight may take when the port is closed for a while; the
/// one that asked for that is among them.
const OUTAGE_GRACE: Duration = Duration::from_millis(100);

/// The wait before another try after the listener failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a shutdown waits for requests that are still arriving or being answered.
const GRACE: Duration = Duration::from_secs(1);

/// Accepts connections and serves them until the hub stops.
pub(crate) struct Acceptor {
    pub(crate) hub: Arc<Hub>,
    pub(crate) router: Router,
    pub(crate) address: SocketAddr,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) connections: TaskTracker,
}

impl Acceptor {
    pub(crate) async fn run(self, mut listener: TcpListener) {
        let mut outages = self.hub.outage.subscribe();
        // Cancelled when this listener is closed; ends its connections.
        let mut era = self.hub.stopping.child_token();
        loop {
            tokio::select! {
                () = self.hub.stopping.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream, &era),
                    Err(error) => {
                        tracing::warn!(%error, "sandbox could not accept a connection");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Ok(()) = outages.changed() => {
                    let until = *outages.borrow_and_update();
                    drop(listener);
                    era.cancel();
                    tracing::info!("sandbox does not listen for a while, as it was told");
                    let Some(again) = self.listen_again(until).await else {
                        return;
                    };
                    tracing::info!("sandbox listens again");
                    listener = again;
                    era = self.hub.stopping.child_token();
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, era: &CancellationToken) {
        // One above the limit is closed by being dropped.
        if let Ok(place) = Arc::clone(&self.room).try_acquire_owned() {
            let ending = Ending {
                era: era.clone(),
                hub: Arc::clone(&self.hub),
            };
            let serving = serve(stream, self.router.clone(), ending, place);
            self.connections.spawn(serving);
        }
    }

    /// A listener on the same address, after the outage.
    async fn listen_again(&self, until: Instant) -> Option<TcpListener> {
        let stopping = self.hub.stopping.cancelled();
        let listening = async {
            tokio::time::sleep_until(until.into()).await;
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => return listener,
                    Err(error) => {
                        tracing::warn!(%error, "sandbox cannot listen again yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stopping => None,
            listener = listening => Some(listener),
        }
    }
}

/// When a connection ends, and how long its request in flight may take then.
struct Ending {
    era: CancellationToken,
    hub: Arc<Hub>,
}

impl Ending {
    async fn begins(&self) -> Duration {
        self.era.cancelled().await;
        if self.hub.stopping.is_cancelled() {
            GRACE
        } else {
            OUTAGE_GRACE
        }
    }
}

/// Serves a connection until it ends.
async fn serve(stream: TcpStream, router: Router, ending: Ending, _place: OwnedSemaphorePermit) {
    // Replies are small; a peer that went away shows at the next write.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    let stall_timeout = ending.hub.stall_timeout;
    stream.set_write_timeout(Some(stall_timeout));
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        async move { unless_hung_up(hyper::service::Service::call(&service, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(stall_timeout)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        grace = ending.begins() => {
            connection.as_mut().graceful_shutdown();
            let finished = tokio::time::timeout(grace, connection).await;
            finished.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "sandbox connection ended early");
    }
}

/// The response, or the error at which the connection is closed without one.
fn unless_hung_up<E>(answered: Result<Response<Body>, E>) -> io::Result<Response<Body>> {
    match answered {
        Ok(response) if response.extensions().get::<Hangup>().is_none() => Ok(response),
        Ok(_) => Err(io::Error::other("closed by a fault rule")),
        Err(_) => Err(io::Error::other("not answered")),
    }
}
