//! Traces: OTLP to a collector, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Over HTTP or over
//! gRPC, as `OTEL_EXPORTER_OTLP_PROTOCOL` says; OpenTelemetry's other variables hold as well.
//! The W3C trace context of a client goes on to Mesibo in any case.

use std::{
    env,
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use http::{HeaderMap, HeaderName};
use opentelemetry::{
    Context, KeyValue, global,
    propagation::{Extractor, Injector},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Tracer},
};

/// The variable with the address of the collector. Without it nothing is exported.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The variables with the protocol that the collector speaks: the first that is set decides.
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

/// The variable with the name of the service, in the place of the program's own.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Whether traces are exported.
static IS_TRACED: AtomicBool = AtomicBool::new(false);

/// The export of traces. Those that have not been sent yet are when it is dropped.
pub(super) struct Traces(SdkTracerProvider);

/// Headers, in the form that OpenTelemetry reads.
struct Headers<'a>(&'a HeaderMap);

/// Headers, in the form that OpenTelemetry writes.
struct HeadersMut<'a>(&'a mut HeaderMap);

impl Traces {
    /// Starts the export, if the environment says where to. Called once, within a runtime.
    ///
    /// # Errors
    ///
    /// If the environment's settings cannot be used.
    pub(super) fn start() -> Result<Option<Self>, Box<dyn Error>> {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let Some(exporter) = exporter()? else {
            return Ok(None);
        };
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if env::var_os(SERVICE_NAME).is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        IS_TRACED.store(true, Ordering::Relaxed);
        Ok(Some(Self(provider)))
    }

    pub(super) fn tracer(&self) -> Tracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// What sends traces to where the environment says, if it does. Made within a runtime.
///
/// # Errors
///
/// If the environment's settings cannot be used.
pub(super) fn exporter() -> Result<Option<SpanExporter>, Box<dyn Error>> {
    if env::var_os(ENDPOINT).is_none() {
        return Ok(None);
    }
    let exporter = match protocol()? {
        Protocol::Grpc => SpanExporter::builder().with_tonic().build()?,
        over_http => SpanExporter::builder()
            .with_http()
            .with_protocol(over_http)
            .with_http_client(http_client()?)
            .build()?,
    };
    Ok(Some(exporter))
}

/// The protocol that the collector speaks: that of OpenTelemetry's specification by default.
///
/// # Errors
///
/// If the environment names another one than the two that are spoken.
fn protocol() -> Result<Protocol, String> {
    let set = PROTOCOLS.into_iter().find_map(|name| {
        let value = env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    match set {
        None => Ok(Protocol::HttpBinary),
        Some((_, value)) if value == "http/protobuf" => Ok(Protocol::HttpBinary),
        Some((_, value)) if value == "grpc" => Ok(Protocol::Grpc),
        Some((name, value)) => Err(format!(
            "{name}: expected http/protobuf or grpc, and it is {:?}",
            value.to_string_lossy()
        )),
    }
}

/// The client for traces over HTTP. Like everything here, it obeys no proxy variables, and
/// follows no redirect.
fn http_client() -> Result<reqwest::blocking::Client, Box<dyn Error>> {
    // A program may have one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A blocking client must not be made on a thread of a runtime.
    let made = thread::spawn(|| {
        reqwest::blocking::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
    });
    Ok(made
        .join()
        .map_err(|_| "the HTTP client for traces panicked")??)
}

/// Whether traces are exported: without that, what only they need is left out.
pub(crate) fn is_traced() -> bool {
    IS_TRACED.load(Ordering::Relaxed)
}

/// The trace context that a request brings along: empty if it has none, or a wrong one.
pub(crate) fn context_of(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)))
}

/// Adds the current trace context to the headers of a request.
pub(crate) fn inject(headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| propagator.inject(&mut HeadersMut(headers)));
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), value.parse()) {
            self.0.insert(name, value);
        }
    }
}
