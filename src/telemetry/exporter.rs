//! The metrics port: metrics in Prometheus' text format over HTTP.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

/// The media type of the format, `OpenMetrics` 1.0.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
