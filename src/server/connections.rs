//! Accepting connections, and letting them go.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long to wait after a failed accept: out of file descriptors, the next would
/// fail as well, and a loop without a pause would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves every connection until `shutdown` completes, then lets the calls in
/// flight finish, within `grace`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    let server = http2::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);

    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener) => {
                let service = TowerToHyperService::new(router.clone());
                let connection = server
                    .clone()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                });
            }
        }
    }

    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "the grace period is over; what is still open is closed"
        );
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        let accepted: io::Result<_> = async {
            let (stream, _) = listener.accept().await?;
            // Answers are small and whole: waiting for more would only delay them.
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        .await;
        match accepted {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
