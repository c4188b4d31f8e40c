//! Logs to standard error, as text or as JSON, and traces to a collector.
//!
//! Traces go out by OTLP over gRPC if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; OpenTelemetry's
//! other variables hold as well. The W3C trace context that a caller sends goes on to
//! Mesibo in any case.

use std::{
    backtrace::Backtrace,
    env,
    error::Error,
    io::{self, IsTerminal as _},
    panic,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::{Context, global, propagation::Extractor, trace::TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, Registry,
    filter::{Targets, filter_fn},
    fmt,
    layer::SubscriberExt as _,
};

use crate::lines::Lines;

/// The variable that says where traces go. Without it there are none.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The variable with the name of the service, for those who want another.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// The way of log lines, once there is one.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Whether traces go out.
static IS_TRACED: AtomicBool = AtomicBool::new(false);

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Telemetry that was started. Traces that have not gone out yet do when it is dropped.
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts logs of these targets, panics with their backtraces included, and traces. It is
/// called once, within a runtime.
///
/// # Errors
///
/// If traces cannot be sent where the environment says, or the system has no more threads.
pub fn start(targets: Targets, format: Format) -> Result<Telemetry, Box<dyn Error>> {
    let lines = Lines::to(io::stderr())?;
    let _ = LINES.set(lines.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = env::var_os(ENDPOINT).map(|_| provider()).transpose()?;
    IS_TRACED.store(provider.is_some(), Ordering::Relaxed);
    let traces = provider.as_ref().map(|provider| {
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
            }))
    });
    let subscriber = Registry::default()
        .with(layer(lines, targets, format))
        .with(traces);
    tracing::subscriber::set_global_default(subscriber)?;
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(%backtrace, "{panic}");
        send_lines();
    }));
    Ok(Telemetry(provider))
}

/// Sends what was logged so far: a process that ends would otherwise lose the last lines.
pub fn send_lines() {
    if let Some(lines) = LINES.get() {
        lines.send();
    }
}

/// Whether traces go out: without them, what only they need is left out.
pub(crate) fn is_traced() -> bool {
    IS_TRACED.load(Ordering::Relaxed)
}

/// The trace context that a request brings along: empty if it has none, or a wrong one.
pub(crate) fn context_of(headers: &http::HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)))
}

fn layer<S>(lines: Lines, targets: Targets, format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer()
        .with_writer(move || lines.clone())
        .with_ansi(format == Format::Text && io::stderr().is_terminal());
    match format {
        Format::Text => layer.with_filter(targets).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_filter(targets)
            .boxed(),
    }
}

fn provider() -> Result<SdkTracerProvider, Box<dyn Error>> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder();
    if env::var_os(SERVICE_NAME).is_none() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    Ok(SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces did not go out");
        }
    }
}

/// Headers, for OpenTelemetry to look into.
struct Headers<'a>(&'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
