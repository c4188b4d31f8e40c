//! What the server counts, by the names that gRPC servers conventionally use.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use super::DESCRIPTORS;
use crate::metrics::{PREFIX, seconds};

/// What stands for a service or a method that there is not. Callers can make names up,
/// and each would be a series.
const UNKNOWN: &str = "unknown";

/// Every gRPC code, with the name that the conventional metrics give it.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "Canceled"),
    (Code::Unknown, "Unknown"),
    (Code::InvalidArgument, "InvalidArgument"),
    (Code::DeadlineExceeded, "DeadlineExceeded"),
    (Code::NotFound, "NotFound"),
    (Code::AlreadyExists, "AlreadyExists"),
    (Code::PermissionDenied, "PermissionDenied"),
    (Code::ResourceExhausted, "ResourceExhausted"),
    (Code::FailedPrecondition, "FailedPrecondition"),
    (Code::Aborted, "Aborted"),
    (Code::OutOfRange, "OutOfRange"),
    (Code::Unimplemented, "Unimplemented"),
    (Code::Internal, "Internal"),
    (Code::Unavailable, "Unavailable"),
    (Code::DataLoss, "DataLoss"),
    (Code::Unauthenticated, "Unauthenticated"),
];

type Seconds = fn() -> Histogram;

type Labels<const N: usize> = [(&'static str, String); N];

/// What the server counts. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    started: Family<Labels<2>, Counter>,
    handled: Family<Labels<3>, Counter>,
    seconds: Family<Labels<2>, Histogram, Seconds>,
    panics: Counter,
    connections: Gauge,
    /// The methods by their paths. All are known from the start, so that a call finds
    /// its counters with one look.
    methods: Arc<HashMap<String, Arc<Method>>>,
    unknown: Arc<Method>,
}

/// What is counted of one method.
pub(super) struct Method {
    /// Its full name, such as `mesibo.v1.UserService/ListUsers`.
    rpc: String,
    started: Counter,
    /// By the numbers of the codes.
    handled: [Counter; CODES.len()],
    seconds: Histogram,
}

/// A call that has started.
pub(super) struct Started {
    method: Arc<Method>,
    at: Instant,
}

/// A connection that is open.
pub(super) struct Open(Gauge);

impl Default for Metrics {
    fn default() -> Self {
        let (started, handled) = (Family::default(), Family::default());
        let seconds = Family::new_with_constructor(seconds as Seconds);
        let new = |service: &str, name: &str| {
            Arc::new(Method::new(service, name, &started, &handled, &seconds))
        };
        let methods = names().map(|(service, name)| {
            let path = format!("/{service}/{name}");
            (path, new(&service, &name))
        });
        Self {
            methods: Arc::new(methods.collect()),
            unknown: new(UNKNOWN, UNKNOWN),
            started,
            handled,
            seconds,
            panics: Counter::default(),
            connections: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Registers them: those that are conventional by their own names, the others under
    /// the prefix of the facade's.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "grpc_server_started",
            "Calls that were started",
            self.started.clone(),
        );
        registry.register(
            "grpc_server_handled",
            "Calls that are over, whatever ended them; Canceled if the caller went away",
            self.handled.clone(),
        );
        registry.register(
            "grpc_server_handling_seconds",
            "How long calls took, from their headers to their end",
            self.seconds.clone(),
        );
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register(
            "panics",
            "Calls that a defect of the facade ended",
            self.panics.clone(),
        );
        own.register(
            "connections",
            "Connections of callers that are open",
            self.connections.clone(),
        );
    }

    /// A call starts.
    pub(super) fn start(&self, path: &str) -> Started {
        let method = self.methods.get(path).unwrap_or(&self.unknown);
        method.started.inc();
        Started {
            method: Arc::clone(method),
            at: Instant::now(),
        }
    }

    /// A defect ended a call.
    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    /// A connection is open, until this is dropped.
    pub(super) fn open(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Method {
    fn new(
        service: &str,
        name: &str,
        started: &Family<Labels<2>, Counter>,
        handled: &Family<Labels<3>, Counter>,
        seconds: &Family<Labels<2>, Histogram, Seconds>,
    ) -> Self {
        let rpc = format!("{service}/{name}");
        let service = ("grpc_service", service.to_owned());
        let name = ("grpc_method", name.to_owned());
        let labels = [service.clone(), name.clone()];
        Self {
            rpc,
            started: started.get_or_create_owned(&labels),
            handled: CODES.map(|(_, code)| {
                let code = ("grpc_code", code.to_owned());
                handled.get_or_create_owned(&[service.clone(), name.clone(), code])
            }),
            seconds: seconds.get_or_create_owned(&labels),
        }
    }
}

impl Started {
    /// The full name of the RPC, or what stands for one that there is not.
    pub(super) fn rpc(&self) -> &str {
        &self.method.rpc
    }

    /// The call is over. How long it took.
    pub(super) fn finish(&self, code: Code) -> Duration {
        let elapsed = self.at.elapsed();
        // CODES is in the order of the numbers.
        self.method.handled[code as usize].inc();
        self.method.seconds.observe(elapsed.as_secs_f64());
        elapsed
    }
}

/// The conventional name of a code.
pub(super) fn name(code: Code) -> &'static str {
    let (_, name) = CODES[code as usize];
    name
}

/// The full name of every service that is served, with each of its methods.
fn names() -> impl Iterator<Item = (String, String)> {
    let files = DESCRIPTORS.into_iter().flat_map(|descriptors| {
        let set = FileDescriptorSet::decode(descriptors);
        set.expect("descriptors are valid").file
    });
    files.flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().flat_map(move |service| {
            let name = format!("{package}.{}", service.name());
            let methods = service.method.into_iter();
            methods.map(move |method| (name.clone(), method.name().to_owned()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_the_order_of_their_numbers() {
        for (number, (code, _)) in CODES.into_iter().enumerate() {
            assert_eq!(code as usize, number);
        }
    }
}
