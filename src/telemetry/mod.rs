//! Log lines, metrics and traces.
//!
//! - `log`: log lines to standard error
//! - [`audit`]: the audit, to standard error or to a file
//! - [`line`]: one line, as text or as JSON
//! - `escape`: texts within the quotes of a line
//! - `lines`: the bounded queue of lines, and the thread that writes them
//! - [`sampler`]: lines that a peer can cause as often as it likes
//! - `trace`: traces, and the trace context of requests
//! - [`metrics`]: what the metrics of all rooms have in common
//! - [`exporter`]: the metrics port
//! - `exposition`: the text formats of metrics
//! - [`process`]: the metrics of the process
//! - [`upstream`]: the metrics of the calls to Mesibo

pub mod audit;
mod escape;
pub mod exporter;
mod exposition;
pub mod line;
mod lines;
mod log;
pub mod metrics;
pub mod process;
pub mod sampler;
pub(crate) mod trace;
pub mod upstream;

use std::error::Error;

use prometheus_client::registry::Registry as Metrics;
use tracing::subscriber::set_global_default;
use tracing_subscriber::{
    Layer as _, Registry,
    filter::{Targets, filter_fn},
    layer::SubscriberExt as _,
};

pub use line::Format;
pub(crate) use log::write_of_call;
pub use log::{flush, say_failure};
use trace::Traces;

/// Telemetry that was started. Traces that have not been sent yet are when it is dropped.
pub struct Telemetry {
    _traces: Option<Traces>,
}

/// The targets whose spans are traced: the facade's and its client's.
const TRACED: [&str; 2] = [env!("CARGO_CRATE_NAME"), "mesibo"];

/// Starts log lines of these targets, panics with their backtraces included, and traces.
/// Called once, within a runtime.
///
/// # Errors
///
/// If traces cannot be exported to where the environment says, or the system has no more
/// threads.
pub fn start(targets: Targets, format: Format) -> Result<Telemetry, Box<dyn Error>> {
    let log = log::layer(format)?;
    let traces = Traces::start()?;
    let spans = traces.as_ref().map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|metadata| {
                let room = metadata.target().split("::").next().unwrap_or_default();
                metadata.is_span() && TRACED.contains(&room)
            }))
    });
    let registry = Registry::default();
    match spans {
        // A filter of all layers costs less than one of each.
        None => set_global_default(registry.with(log).with(targets))?,
        Some(spans) => set_global_default(registry.with(log.with_filter(targets)).with(spans))?,
    }
    log::log_panics();
    Ok(Telemetry { _traces: traces })
}

/// Whether the environment wants traces, and they can be exported. Called within a runtime.
///
/// # Errors
///
/// As [`start`].
pub fn probe_traces() -> Result<bool, Box<dyn Error>> {
    Ok(trace::exporter()?.is_some())
}

/// Registers the metrics of the log.
pub fn register(metrics: &mut Metrics) {
    metrics.register(
        "log_lines_dropped",
        "Log lines that were dropped, for standard error did not take them in time",
        log::dropped(),
    );
}
