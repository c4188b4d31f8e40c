//! The gRPC server: it puts the services, health, reflection and the layers that
//! every call passes together, and serves them until it is told to stop.
//!
//! - `connections`: accepting connections, and letting them go
//! - `deadline`: by when a call must be answered
//! - `health`: the health service
//! - `statuses`: makes every status complete, whoever made it

mod connections;
mod deadline;
mod health;
mod statuses;

use std::{io, net::SocketAddr, time::Duration};

use axum::middleware::{from_fn, from_fn_with_state};
use tokio::{net::TcpListener, time::sleep};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::proto;
pub use deadline::Deadlines;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// By when calls must be answered.
    pub deadlines: Deadlines,
    /// How long new connections are still served once the server is to stop, while
    /// health says that it does not serve.
    pub lame_duck: Duration,
    /// How long calls in flight may take to finish after that.
    pub shutdown_grace: Duration,
}

/// A server that has its port, but does not serve yet.
pub struct Server {
    config: Config,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            config,
            listener,
            local_addr,
        })
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves `services` until `shutdown` completes, and then winds down: health says
    /// so at once, the lame-duck time leaves those who watch it the time to go
    /// elsewhere, and calls in flight finish within their grace period.
    pub async fn serve(self, services: Routes, shutdown: impl Future<Output = ()>) {
        let (health, reporter) = health::service();
        let router = add_common_services(services, health)
            .into_axum_router()
            // From the inside out: what is added last sees a call first.
            .layer(from_fn_with_state(self.config.deadlines, deadline::layer))
            .layer(CatchPanicLayer::custom(statuses::of_panic))
            .layer(from_fn(statuses::layer));

        reporter.serving();
        let shutdown = async move {
            shutdown.await;
            reporter.stopping();
            sleep(self.config.lame_duck).await;
            // The watches of health end here, so that none holds up the end.
            drop(reporter);
        };
        connections::serve(self.listener, router, shutdown, self.config.shutdown_grace).await;
    }
}

/// Adds health, and both versions of reflection: many tools know only the older.
/// Reflection knows the details of errors as well, so that tools can show them.
fn add_common_services(services: Routes, health: health::HealthService) -> Routes {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    services
        .add_service(HealthServer::new(health))
        .add_service(reflection().build_v1().expect("the descriptors are ours"))
        .add_service(
            reflection()
                .build_v1alpha()
                .expect("the descriptors are ours"),
        )
}
