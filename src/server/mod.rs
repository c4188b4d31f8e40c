//! The gRPC server: it puts the services, health, reflection and the layers that
//! every call passes together, and serves them until it is told to stop.
//!
//! - `workers`: the threads that serve connections
//! - `connections`: all connections, taking them on and letting them go
//! - `accept`: accepting them, whatever the system says
//! - `connection`: the life of one connection
//! - [`tls`]: TLS, and the certificates of clients
//! - `layers`: what every call passes
//! - `calls`: every call, counted and timed
//! - `statuses`: makes every status complete, whoever made it
//! - `deadline`: by when a call must be answered
//! - `services`: the services by their names
//! - `health`: the health service
//! - `drain`: reads what nobody else reads of a request's message
//! - `metrics`: what is counted
//! - `request_id`: the id of a call

mod accept;
mod calls;
mod connection;
mod connections;
mod deadline;
mod drain;
mod health;
mod layers;
mod metrics;
mod request_id;
mod services;
mod statuses;
pub mod tls;
mod workers;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, time::sleep};
use tonic_health::pb::health_server::HealthServer;

use crate::{access::Access, proto};
use connections::Connections;
pub use deadline::Deadlines;
pub use drain::RequestBody;
use layers::Layers;
pub use metrics::Metrics;
pub use services::Services;
use tls::Tls;
use workers::Workers;

/// The descriptors of every service that is served.
const DESCRIPTORS: [&[u8]; 4] = [
    proto::FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Address to serve health on besides, without TLS: the probes of Kubernetes speak
    /// none.
    pub health_listen: Option<SocketAddr>,
    /// TLS on the gRPC port. Without it, whoever is on the way can listen in.
    pub tls: Option<Tls>,
    /// By when calls must be answered.
    pub deadlines: Deadlines,
    /// What peers may ask of the server.
    pub limits: Limits,
    /// How many threads serve connections; one at least.
    pub worker_threads: usize,
    /// How long new connections are still served once the server is to stop, while
    /// health says that it does not serve.
    pub lame_duck: Duration,
    /// How long calls in flight may take to finish after that.
    pub shutdown_grace: Duration,
}

/// What peers may ask of the server, so that none can use it up, and none that is gone
/// is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at a time; what comes above is closed at once.
    pub max_connections: usize,
    /// How many calls a connection carries at a time; a peer is told, and what it
    /// begins above is refused as not processed, which gRPC repeats by itself.
    pub max_concurrent_streams: u32,
    /// Largest request headers, in bytes, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts
    /// them: decoded, with 32 bytes for each. A peer is told. h2 answers what is larger
    /// with the HTTP status 431 before anything here sees it, so without a gRPC status,
    /// and ends the connection at four times the limit.
    pub max_header_bytes: u32,
    /// By when after its accept a connection must have sent its HTTP/2 preface, TLS
    /// included.
    pub handshake_timeout: Duration,
    /// After how long without a word a peer is asked by a ping whether it is there.
    pub keepalive_time: Duration,
    /// How long it may take to answer that before its connection is closed. A peer
    /// that reads nothing either, so that not even a GOAWAY can be written, is cut off
    /// by the age of its connection.
    pub keepalive_timeout: Duration,
    /// After how long without a call in flight a connection gets a GOAWAY. A watch of
    /// health is a call.
    pub max_connection_idle: Duration,
    /// At what age a connection gets a GOAWAY, a tenth more or less by chance.
    pub max_connection_age: Duration,
    /// How long calls in flight may take to finish after a GOAWAY of these two.
    pub max_connection_age_grace: Duration,
}

/// A server that has its ports, but does not serve yet.
pub struct Server {
    config: Config,
    grpc: TcpListener,
    local_addr: SocketAddr,
    /// For health alone, without TLS.
    health: Option<TcpListener>,
    workers: Workers,
    metrics: Metrics,
}

impl Server {
    /// Takes the port, and the one for health if there is to be one, and starts threads.
    /// The server counts among `metrics`.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or a thread cannot be started, with the name
    /// of the setting.
    pub async fn bind(
        config: Config,
        metrics: &Metrics,
    ) -> Result<Self, (&'static str, io::Error)> {
        let grpc = TcpListener::bind(config.listen)
            .await
            .map_err(|error| ("listen", error))?;
        let local_addr = grpc.local_addr().map_err(|error| ("listen", error))?;
        let health = match config.health_listen {
            None => None,
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|error| ("health-listen", error))?,
            ),
        };
        let workers =
            Workers::start(config.worker_threads).map_err(|error| ("worker-threads", error))?;
        Ok(Self {
            config,
            grpc,
            local_addr,
            health,
            workers,
            metrics: metrics.clone(),
        })
    }

    /// The address that it serves gRPC on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address that it serves health on besides, if there is one.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// Serves `services`, to whom `access` lets in, until `shutdown` completes, and then
    /// winds down: health says so at once, the lame-duck time leaves those who watch it
    /// the time to go elsewhere, and calls in flight finish within their grace period.
    pub async fn serve(
        self,
        services: Services,
        access: Access,
        shutdown: impl Future<Output = ()>,
    ) {
        let Self {
            config,
            grpc,
            health: probes,
            workers,
            metrics,
            ..
        } = self;
        let (health, reporter) = health::service();
        let layers = |access, services| {
            Arc::new(Layers {
                metrics: metrics.clone(),
                access,
                deadlines: config.deadlines,
                services,
            })
        };
        let for_probes = Services::default().with(HealthServer::new(health.clone()));
        let for_probes = layers(None, for_probes);
        let layers = layers(Some(access), with_common_services(services, health));

        reporter.serving();
        let (stop, stopping) = watch::channel(());
        let shutdown = async move {
            shutdown.await;
            reporter.stopping();
            sleep(config.lame_duck).await;
            // The watches of health end here, so that none holds up the end.
            drop((reporter, stop));
        };
        let stopped = || {
            let mut stopping = stopping.clone();
            async move {
                // It ends with its sender.
                let _ = stopping.changed().await;
            }
        };
        let connections = Connections {
            workers: &workers,
            limits: config.limits,
            metrics: &metrics,
            grace: config.shutdown_grace,
        };
        let calls = connections.serve(grpc, config.tls, layers, stopped());
        let probes = async {
            if let Some(listener) = probes {
                connections
                    .serve(listener, None, for_probes, stopped())
                    .await;
            }
        };
        tokio::join!(shutdown, calls, probes);
    }
}

/// Adds health, and both versions of reflection: many tools know only the older.
/// Reflection knows the details of errors as well, so that tools can show them.
fn with_common_services(services: Services, health: health::HealthService) -> Services {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let ours = "the descriptors are ours";
    services
        .with(HealthServer::new(health))
        .with(reflection().build_v1().expect(ours))
        .with(reflection().build_v1alpha().expect(ours))
}
