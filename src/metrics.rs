//! Metrics in Prometheus' text format, on a port of their own.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use prometheus_client::{
    encoding::text::encode, metrics::histogram::Histogram, registry::Registry,
};
use tokio::net::TcpListener;

/// What the names of all metrics begin with that have no conventional name.
pub const PREFIX: &str = "mesibo_grpc";

/// The bounds of histograms of times, in seconds: from an answer of the facade alone to
/// the longest deadline.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// A histogram of times in seconds.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// The media type of the format, `OpenMetrics` 1.0.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves metrics, from a port that it has already.
pub struct Exporter {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Exporter {
    /// Takes the port.
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

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the metrics of a registry at `/metrics`, for ever.
    ///
    /// # Errors
    ///
    /// If the listener fails.
    pub async fn serve(self, registry: Registry) -> io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(show))
            .with_state(Arc::new(registry));
        axum::serve(self.listener, router).await
    }
}

async fn show(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string can be written to");
    ([(CONTENT_TYPE, FORMAT)], text)
}
