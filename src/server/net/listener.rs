//! A listening port: it accepts connections, and lets them finish at a shutdown.
//!
//! The accept loop is our own in the place of tonic's server, which has no limit on
//! connections, retries a failed accept without a pause (one processor at 100% when file
//! descriptors run out), and waits for ever at a shutdown for a peer that never sent its
//! preface (hyper#4170).

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use super::{
    accept::{Acceptor, Throttle},
    connection::Connection,
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
    /// `None` is plaintext.
    pub(in crate::server) tls: Option<Tls>,
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
        let mut connections = JoinSet::new();
        let mut warned = Throttle::default();
        let connection_stopping = stopping.clone();
        loop {
            tokio::select! {
                biased;
                () = stopping.stopped() => break,
                // Before the accept, so that what has ended makes room.
                Some(_) = connections.join_next() => {}
                stream = acceptor.accept() => {
                    if connections.len() < limits.max_connections {
                        let connection = Connection {
                            stream,
                            tls: self.tls.clone(),
                            limits,
                            stopping: connection_stopping.clone(),
                        };
                        let (open, stack) = (self.metrics.open_connection(), Arc::clone(&stack));
                        let serve = async move {
                            connection.serve(stack).await;
                            drop(open);
                        };
                        match place {
                            Place::Workers(workers) => workers.spawn(&mut connections, serve),
                            Place::Here => { connections.spawn(serve); }
                        }
                    } else if warned.passes() {
                        // The stream is dropped, and so closed: the client learns at once
                        // that it has to go elsewhere or come back later. In the backlog
                        // its calls would only wait for their deadlines.
                        let limit = limits.max_connections;
                        tracing::warn!(limit, "too many connections; another one is closed");
                    }
                }
            }
        }
        drop(acceptor);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(self.grace, ended).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "the grace period is over; what is still open is closed"
            );
        }
    }
}
