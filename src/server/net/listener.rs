//! A listening port: it accepts connections, and lets them finish at a shutdown.
//!
//! The accept loop is our own in the place of tonic's server, which has no limit on
//! connections, retries a failed accept without a pause (one processor at 100% when file
//! descriptors run out), and waits for ever at a shutdown for a peer that never sent its
//! preface (hyper#4170).

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    accept::{Acceptor, Throttle},
    balance::{self, Balance},
    connection::Connection,
    connections::Connections,
    tls::Tls,
    workers::Workers,
};
use crate::{
    call::Stopping,
    server::{config::Limits, metrics::ServerMetrics, rpc::Stack},
};

/// A port that is bound, and how its connections are served.
pub(in crate::server) struct Listener {
    pub(in crate::server) tcp: TcpListener,
    /// The certificates of the port. `None` is plaintext.
    pub(in crate::server) tls: Option<Tls>,
    /// Whether a balancer in front says whose each connection is.
    pub(in crate::server) is_proxied: bool,
    pub(in crate::server) limits: Limits,
    pub(in crate::server) metrics: ServerMetrics,
    /// How long calls in flight may take to finish at a shutdown.
    pub(in crate::server) grace: Duration,
}

/// Where connections are served.
#[derive(Clone, Copy)]
pub(in crate::server) enum Place<'a> {
    /// On the worker threads.
    Workers(&'a Workers),
    /// On the runtime of the listener.
    Here,
}

impl Place<'_> {
    /// How many threads connections are served by.
    fn threads(self) -> usize {
        match self {
            Self::Workers(workers) => workers.count(),
            Self::Here => 1,
        }
    }

    /// How long each worker thread was busy since its start.
    fn busy(self) -> Vec<Duration> {
        match self {
            Self::Workers(workers) => workers.busy(),
            Self::Here => Vec::new(),
        }
    }
}

impl Listener {
    /// Serves every connection until `stopping`, then lets the calls in flight finish,
    /// within the grace period.
    pub(in crate::server) async fn serve(
        self,
        place: Place<'_>,
        stack: Arc<Stack>,
        mut stopping: Stopping,
    ) {
        let limits = self.limits;
        let mut acceptor = Acceptor::new(self.tcp, limits.keepalive_time, limits.keepalive_timeout);
        let mut connections = Connections::new(limits);
        let full = Throttle::default();
        let http1 = Arc::new(Throttle::default());
        let connection_stopping = stopping.clone();
        let mut balance = Balance::new(place.threads(), Instant::now());
        let mut measuring = interval(balance::EVERY);
        measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (stream, address) = tokio::select! {
                biased;
                () = stopping.stopped() => break,
                // Before the accept, so that what has ended makes room.
                Some(()) = connections.ended() => continue,
                // Fewer than two threads have nothing to share.
                now = measuring.tick(), if place.threads() > 1 => {
                    balance.measure(&place.busy(), now);
                    if connections.relieve(&mut balance) {
                        self.metrics.moved();
                    }
                    continue;
                }
                accepted = acceptor.accept() => accepted,
            };
            let room = match connections.make_room(address) {
                Ok(room) => room,
                Err(limit) => {
                    // The stream is dropped, and so closed: the client learns at once
                    // that it has to go elsewhere or come back later. In the backlog
                    // its calls would only wait for their deadlines.
                    self.metrics.refused(limit);
                    if full.passes() {
                        tracing::warn!(?limit, %address, "too many connections; another one is closed");
                    }
                    continue;
                }
            };
            if room.displaces {
                self.metrics.displaced();
            }
            let usage = Arc::new(stack.open_usage());
            let thread = match place {
                Place::Workers(workers) => Some(workers.choose(&mut balance)),
                Place::Here => None,
            };
            let (number, runtime) = thread.as_ref().map_or_else(
                || (0, Handle::current()),
                |thread| (thread.number, thread.runtime.clone()),
            );
            let (open, stack) = (self.metrics.open_connection(), Arc::clone(&stack));
            connections.open(room, Arc::clone(&usage), (number, &runtime), |displaced| {
                let connection = Connection {
                    stream,
                    address,
                    tls: self.tls.clone(),
                    is_proxied: self.is_proxied,
                    limits,
                    usage,
                    stopping: connection_stopping.clone(),
                    displaced,
                    metrics: self.metrics.clone(),
                    warned: Arc::clone(&http1),
                };
                let serve = connection.serve(stack);
                async move {
                    serve.await;
                    drop((open, thread));
                }
            });
        }
        drop(acceptor);
        let ended = async { while connections.ended().await.is_some() {} };
        if timeout(self.grace, ended).await.is_err() {
            tracing::warn!(
                connections = connections.count(),
                "the grace period is over; what is still open is closed"
            );
        }
    }
}
