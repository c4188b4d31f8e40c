//! The metrics port: metrics in Prometheus' text format over HTTP.
//!
//! Connections are served by hyper, one request each, in the place of axum's server, which
//! has no limit on them and none on how long a request may take.

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap,
        header::{CONTENT_TYPE, VARY},
    },
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::exposition::Exposition;

/// Most connections at a time. The oldest goes for one above: a scrape takes a moment, and
/// what lasts is something else.
const MAX_CONNECTIONS: usize = 16;

/// How long a request may take to arrive, and its answer to be read, each.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes. Its body is not read.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// The pause after an accept that failed because the system has no more to give.
const PAUSE: Duration = Duration::from_millis(100);

/// The metrics port, bound and not yet serving.
pub struct Exporter {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Exporter {
    /// Binds the port.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            listener,
            local_addr,
        })
    }

    /// The address of the port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the metrics of a registry at `/metrics`, until it is dropped.
    pub async fn serve(self, registry: Registry) {
        let router = Router::new()
            .route("/metrics", get(show))
            .with_state(Arc::new(registry));
        let mut connections = JoinSet::new();
        let mut oldest = VecDeque::<AbortHandle>::new();
        loop {
            let accepted = tokio::select! {
                biased;
                Some(_) = connections.join_next() => {
                    oldest.retain(|connection| !connection.is_finished());
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // A loop without a pause would spin.
                sleep(PAUSE).await;
                continue;
            };
            if oldest.len() == MAX_CONNECTIONS
                && let Some(oldest) = oldest.pop_front()
            {
                oldest.abort();
            }
            oldest.push_back(connections.spawn(answer(stream, router.clone())));
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(2 * PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a scrape of the metrics failed"),
        Err(_) => tracing::debug!("a scrape of the metrics took too long"),
    }
}

async fn show(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> impl IntoResponse {
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string can be written to");
    let exposition = Exposition::accepted(&headers);
    let headers = [(CONTENT_TYPE, exposition.media_type()), (VARY, "accept")];
    (headers, exposition.of(text))
}
