//! The gRPC server: it serves anything that is a tonic service, with all that every call
//! passes, until it is told to stop.
//!
//! - [`config`]: how to serve
//! - [`net`]: connections, TLS, and the threads that serve them
//! - [`rpc`]: what every call passes on its way to its service
//! - [`metrics`]: what is counted

pub mod config;
pub mod metrics;
pub mod net;
pub mod rpc;

use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    access::Access,
    call::Stop,
    proto::{self, health::health_server::HealthServer},
    telemetry::audit::AuditLog,
};
pub use config::{Config, Deadlines, Limits};
use config::{MAX_HEALTH_REQUEST_BYTES, MAX_REFLECTION_REQUEST_BYTES};
pub use metrics::ServerMetrics;
use net::{
    descriptors,
    listener::{Listener, Place},
    workers::Workers,
};
use rpc::{
    Shared, Stack,
    health::{self, HealthService},
    refusals::Refusals,
};
pub use rpc::{request_body::RequestBody, services::Services};

/// A server that is bound to its ports, but does not serve yet.
pub struct Server {
    config: Config,
    grpc: TcpListener,
    local_addr: SocketAddr,
    /// For health alone, without TLS.
    health: Option<TcpListener>,
    workers: Workers,
    metrics: ServerMetrics,
}

/// A worker thread died, by a defect.
#[derive(Debug)]
pub struct WorkerDied;

/// How many connections the gRPC port may have, of `wanted`, where the process may have this
/// many files open.
#[must_use]
pub fn client_connections(wanted: usize, open_files: u64) -> usize {
    descriptors::of_clients(wanted, usize::try_from(open_files).unwrap_or(usize::MAX))
}

impl Server {
    /// Binds the port, and the one for health if the settings have one, and starts the
    /// worker threads.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or a thread cannot be started, with the name
    /// of the setting.
    pub async fn bind(
        mut config: Config,
        metrics: &ServerMetrics,
    ) -> Result<Self, (&'static str, io::Error)> {
        let wanted = config.limits.max_connections;
        let open_files = descriptors::limit();
        let max_connections = descriptors::of_clients(wanted, open_files);
        if max_connections < wanted {
            tracing::warn!(
                max_connections,
                open_files,
                "max-connections is lowered: the limit of open files allows no more"
            );
        }
        config.limits.max_connections = max_connections;
        metrics.expect_connections(max_connections);
        let grpc = listen("listen", config.listen).await?;
        let local_addr = grpc.local_addr().map_err(|error| ("listen", error))?;
        let health = match config.health_listen {
            None => None,
            Some(address) => Some(listen("health-listen", address).await?),
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

    /// The address of the gRPC port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of the port for health, if there is one.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// Serves `services` to the callers that `access` admits, until `shutdown` completes.
    /// `audit` has a line for calls that it denies.
    /// Then health says `NOT_SERVING` at once, the lame-duck time leaves clients the time to
    /// go elsewhere, and calls in flight finish within the grace period. `drained`
    /// completes when nothing of them goes on; the worker threads run until then, or
    /// until the grace period is over.
    ///
    /// # Errors
    ///
    /// If a worker thread died, which ends the server.
    pub async fn serve(
        self,
        services: Services,
        access: Access,
        audit: AuditLog,
        shutdown: impl Future<Output = ()>,
        drained: impl Future<Output = ()>,
    ) -> Result<(), WorkerDied> {
        let Self {
            config,
            grpc,
            health: probes,
            workers,
            metrics,
            ..
        } = self;
        let (health, reporter) = health::service();
        let for_probes = Services::default().with(health_server(health.clone()));
        let refusals = Refusals::new(audit);
        let shared = Shared {
            deadlines: config.deadlines,
            limits: config.limits,
            metrics: metrics.clone(),
            refusals: refusals.clone(),
        };
        let probe_stack = Stack::open(for_probes, shared.clone());
        let services = with_common_services(services, health);
        let stack = Stack::guarded(services, config.doors, access, shared);

        reporter.serving();
        let (stop, stopping) = Stop::new();
        let mut worker_died = false;
        let shutdown = async {
            tokio::select! {
                () = shutdown => {}
                () = workers.died() => {
                    tracing::error!("a worker thread died, which is a defect: the server stops");
                    worker_died = true;
                }
            }
            reporter.stopping();
            sleep(config.lame_duck).await;
            // The watches of health end here, so that none holds up the shutdown.
            drop((reporter, stop));
            Instant::now() + config.shutdown_grace
        };
        let listener = |tcp, tls, is_proxied, limits| Listener {
            tcp,
            tls,
            is_proxied,
            limits,
            metrics: metrics.clone(),
            grace: config.shutdown_grace,
        };
        let tls = config.tls.clone();
        let calls = listener(grpc, tls, config.proxy_protocol, config.limits);
        let calls = calls.serve(Place::Workers(&workers), Arc::new(stack), stopping.clone());
        let probes = async {
            if let Some(probes) = probes {
                // Not on a worker: what stalls the calls must not stall the probes.
                let limits = Limits {
                    max_connections: descriptors::of_probes(descriptors::limit()),
                    ..config.limits
                };
                let probes = listener(probes, None, false, limits);
                let stack = Arc::new(probe_stack);
                probes.serve(Place::Here, stack, stopping.clone()).await;
            }
        };
        let served = async { tokio::join!(shutdown, calls, probes) };
        let (grace_end, (), ()) = tokio::select! {
            served = served => served,
            never = refusals.report() => match never {},
        };
        refusals.tell(Duration::ZERO);
        if timeout_at(grace_end, drained).await.is_err() {
            tracing::warn!(
                "the grace period is over; writes that are still under way are abandoned"
            );
        }
        if worker_died {
            return Err(WorkerDied);
        }
        Ok(())
    }
}

impl fmt::Display for WorkerDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker thread died")
    }
}

impl Error for WorkerDied {}

/// Listens on the address of a setting.
async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, (&'static str, io::Error)> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = format!("cannot listen on {address}: {error}");
        (setting, io::Error::new(error.kind(), what))
    })
}

/// Adds health, and both versions of reflection: many tools know only the older.
/// Reflection knows the details of errors as well, so that tools can show them.
fn with_common_services(services: Services, health: HealthService) -> Services {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(proto::health::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let valid = "generated descriptors are valid";
    let v1 = reflection().build_v1().expect(valid);
    let v1alpha = reflection().build_v1alpha().expect(valid);
    services
        .with(health_server(health))
        .with(v1.max_decoding_message_size(MAX_REFLECTION_REQUEST_BYTES))
        .with(v1alpha.max_decoding_message_size(MAX_REFLECTION_REQUEST_BYTES))
}

fn health_server(health: HealthService) -> HealthServer<HealthService> {
    HealthServer::new(health).max_decoding_message_size(MAX_HEALTH_REQUEST_BYTES)
}
