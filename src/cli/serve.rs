//! `serve`: the facade in front of Mesibo.

use std::io;

use mesibo::chain;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing::field;

use super::Failure;
use crate::{
    config::Config,
    facade::Facade,
    store::Location,
    telemetry::{self, Telemetry},
};

/// Serves until a signal.
pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let _telemetry = start_telemetry(&config)?;
    Box::pin(serve(config, |_| ())).await
}

/// Starts log lines and traces, until the result is dropped.
pub(super) fn start_telemetry(config: &Config) -> Result<Telemetry, Failure> {
    telemetry::start(config.log.clone(), config.log_format)
        .map_err(|error| Failure::wrong(format_args!("cannot send traces: {}", chain(&*error))))
}

/// Serves until a signal. `ready` is called with the facade before it serves.
pub(super) async fn serve(config: Config, ready: impl FnOnce(&Facade)) -> Result<(), Failure> {
    // Each connection takes a file descriptor, and the usual soft limit is 1,024, for
    // programs that still use select(2).
    let open_files = rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| Failure::of("cannot raise the limit of open files", &error))?;
    let stopped = on_signal().map_err(|error| Failure::of("cannot wait for signals", &error))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let tls = config.server.tls_mode();
    let (callers, apps) = (config.callers.len(), config.apps.len());
    let store = config.store.location.clone();
    let facade = Facade::bind(config).await.map_err(|error| {
        if error.may_pass() {
            Failure::new(error)
        } else {
            Failure::wrong(error)
        }
    })?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %facade.local_addr(),
        health = facade.health_addr().map(field::display),
        metrics = facade.metrics_addr().map(field::display),
        tls,
        callers,
        apps,
        %store,
        open_files,
        "serving gRPC"
    );
    if store == Location::Memory {
        tracing::info!("request ids are forgotten at the end of this process, and not shared");
    }
    ready(&facade);
    let shutdown = async {
        // The sender is dropped only with the runtime.
        let _ = stopped.await;
    };
    let served = facade.serve(shutdown).await;
    served.map_err(|error| Failure::of("the server failed", &error))?;
    tracing::info!("stopped");
    Ok(())
}

/// Completes at the first SIGTERM or SIGINT. The second ends the process at once.
fn on_signal() -> io::Result<oneshot::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: calls in flight may finish; another signal ends them");
        let _ = stop.send(());
        next().await;
        telemetry::flush();
        std::process::exit(1);
    });
    Ok(stopped)
}
