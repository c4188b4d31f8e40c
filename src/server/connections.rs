//! All connections: taking them on, and letting them go.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};

use super::{
    Limits, Metrics,
    accept::{Acceptor, Seldom},
    connection::Connection,
    layers::Layers,
    tls::Tls,
    workers::Workers,
};

/// How connections are served.
pub(super) struct Connections<'a> {
    pub(super) workers: &'a Workers,
    pub(super) limits: Limits,
    pub(super) metrics: &'a Metrics,
    /// How long calls in flight may take to finish at the end.
    pub(super) grace: Duration,
}

impl Connections<'_> {
    /// Serves every connection until `shutdown` completes, then lets the calls in
    /// flight finish, within the grace period.
    pub(super) async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Tls>,
        layers: Arc<Layers>,
        shutdown: impl Future<Output = ()>,
    ) {
        let Self {
            workers,
            limits,
            metrics,
            grace,
        } = *self;
        let mut acceptor = Acceptor::new(listener, limits.keepalive_time, limits.keepalive_timeout);
        let mut connections = JoinSet::new();
        let mut warned = Seldom::default();
        let (stop, stopping) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);

        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // Before the accept, so that what has ended makes room.
                Some(_) = connections.join_next() => {}
                stream = acceptor.accept() => {
                    if connections.len() < limits.max_connections {
                        let connection =
                            Connection::new(stream, tls.clone(), limits, stopping.clone());
                        let (open, layers) = (metrics.open(), Arc::clone(&layers));
                        workers.spawn(&mut connections, async move {
                            connection.serve(layers).await;
                            drop(open);
                        });
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
        drop(stop);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(grace, ended).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "the grace period is over; what is still open is closed"
            );
        }
    }
}
