//! The metrics of the server, by the names that gRPC servers conventionally use.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tonic::Code;

use super::config::Dialect;
use crate::{
    call::{Policy, memory::Pool},
    telemetry::metrics::{PREFIX, seconds},
};

/// Stands for the type, the service or the method of an RPC that does not exist. Clients can make names up, and
/// each would be a series.
const UNKNOWN: &str = "unknown";

/// Stands for an RPC that does not exist.
const UNKNOWN_RPC: &str = "unknown/unknown";

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

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The metrics of the server. Clones share the counters.
#[derive(Clone)]
pub struct ServerMetrics(Arc<Inner>);

struct Inner {
    families: Families,
    panics: Counter,
    connections: Gauge,
    max_connections: Gauge,
    refused: Family<Labels<1>, Counter>,
    displaced: Counter,
    moved: Counter,
    request_memory: Family<Labels<1>, Gauge>,
    max_request_memory: Family<Labels<1>, Gauge>,
    /// The counters of the methods, by the positions of their policies.
    methods: Vec<Method>,
    unknown: Method,
}

struct Families {
    started: Family<Labels<4>, Counter>,
    handled: Family<Labels<5>, Counter>,
    seconds: Family<Labels<3>, Histogram, Seconds>,
    items: Family<Labels<3>, Counter>,
}

/// The counters of one method. Those of gRPC are there from the start, so that a rate has a
/// beginning; those of the other dialects, of which few methods are called in each, from the
/// first call.
struct Method {
    labels: Labels<3>,
    /// By the dialect. What may be none is the last.
    calls: [OnceLock<Calls>; Dialect::ALL.len() + 1],
    seconds: Histogram,
    /// By the numbers of the codes. `None` if it has no stream of items.
    items: Option<[Counter; CODES.len()]>,
}

/// The counters of the calls of one method in one dialect.
struct Calls {
    started: Counter,
    /// By the numbers of the codes.
    handled: [Counter; CODES.len()],
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Full {
    /// The address has as many connections as it may.
    Address,
    /// There are as many connections as there may be, and each is busy or about to go.
    Server,
}

/// A call that has started.
pub(super) struct Started {
    metrics: ServerMetrics,
    policy: Option<&'static Policy>,
    dialect: Option<Dialect>,
    at: Instant,
}

/// An open connection of a client, as the metrics count it.
pub(super) struct OpenConnection(Gauge);

/// Whose requests a pool of memory is for.
#[derive(Clone, Copy)]
pub(super) enum PoolOf {
    /// Callers who have shown who they are.
    Callers,
    /// Everybody else on the gRPC port.
    Others,
    /// Everybody on the port for health.
    Health,
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let families = Families {
            started: Family::default(),
            handled: Family::default(),
            seconds: Family::new_with_constructor(seconds as Seconds),
            items: Family::default(),
        };
        let mut policies: Vec<_> = Policy::all().collect();
        policies.sort_unstable_by_key(|policy| policy.index);
        let methods = policies.into_iter().map(|policy| Method {
            items: policy.is_stream_of_items().then(|| families.items(policy)),
            ..families.method(policy.grpc_type, policy.service(), policy.method())
        });
        let request_memory = Family::default();
        let max_request_memory = Family::default();
        for of in PoolOf::ALL {
            drop(request_memory.get_or_create(&of.labels()));
            drop(max_request_memory.get_or_create(&of.labels()));
        }
        Self(Arc::new(Inner {
            methods: methods.collect(),
            unknown: families.method(UNKNOWN, UNKNOWN, UNKNOWN),
            families,
            panics: Counter::default(),
            connections: Gauge::default(),
            max_connections: Gauge::default(),
            refused: Family::default(),
            displaced: Counter::default(),
            moved: Counter::default(),
            request_memory,
            max_request_memory,
        }))
    }
}

impl ServerMetrics {
    /// Registers the metrics: the conventional ones by their own names, the others under
    /// the facade's prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "grpc_server_started",
            "Calls that were started",
            self.0.families.started.clone(),
        );
        registry.register(
            "grpc_server_handled",
            "Calls that are over, whatever ended them; Canceled if the caller went away",
            self.0.families.handled.clone(),
        );
        registry.register(
            "grpc_server_handling_seconds",
            "How long calls took, from their headers to their end",
            self.0.families.seconds.clone(),
        );
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register(
            "stream_items",
            "Items of streams that were answered, by the code that a call of its own would have",
            self.0.families.items.clone(),
        );
        own.register(
            "panics",
            "Calls and items of streams that a defect of the facade ended",
            self.0.panics.clone(),
        );
        own.register(
            "connections",
            "Connections of callers that are open",
            self.0.connections.clone(),
        );
        own.register(
            "max_connections",
            "Connections of callers that may be open on the gRPC port",
            self.0.max_connections.clone(),
        );
        for limit in [Full::Address, Full::Server] {
            let _ = self.of_refused(limit);
        }
        own.register(
            "connections_refused",
            "Connections that were closed at once, by the limit that they were above",
            self.0.refused.clone(),
        );
        own.register(
            "connections_displaced",
            "Connections that were closed to make room for another",
            self.0.displaced.clone(),
        );
        own.register(
            "connections_moved",
            "Connections that were told to come back, for their thread was busy and another not",
            self.0.moved.clone(),
        );
        own.register(
            "request_memory_bytes",
            "Memory that requests take, by whose they are",
            self.0.request_memory.clone(),
        );
        own.register(
            "max_request_memory_bytes",
            "Memory that requests may take, by whose they are",
            self.0.max_request_memory.clone(),
        );
    }

    /// Counts a call that starts. `policy` is `None` for an RPC that does not exist, and
    /// `dialect` for what may be no call.
    pub(super) fn start(
        &self,
        policy: Option<&'static Policy>,
        dialect: Option<Dialect>,
    ) -> Started {
        self.calls(policy, dialect).started.inc();
        Started {
            metrics: self.clone(),
            policy,
            dialect,
            at: Instant::now(),
        }
    }

    /// Counts an item of a stream that was answered with a code.
    pub(super) fn answered(&self, policy: &'static Policy, code: Code) {
        if let Some(items) = &self.method(Some(policy)).items {
            items[code as usize].inc();
        }
    }

    /// Counts a call, or an item of a stream, that a panic ended.
    pub(super) fn panicked(&self) {
        self.0.panics.inc();
    }

    /// Counts a connection, until the result is dropped.
    pub(super) fn open_connection(&self) -> OpenConnection {
        self.0.connections.inc();
        OpenConnection(self.0.connections.clone())
    }

    /// Counts a connection that is above a limit.
    pub(super) fn refused(&self, limit: Full) {
        self.of_refused(limit).inc();
    }

    /// Counts a connection that has to go for another.
    pub(super) fn displaced(&self) {
        self.0.displaced.inc();
    }

    /// Counts a connection that is to come back to another thread.
    pub(super) fn moved(&self) {
        self.0.moved.inc();
    }

    /// Shows how many connections of callers may be open.
    pub(super) fn expect_connections(&self, limit: usize) {
        self.0.max_connections.set(gauge(limit));
    }

    /// A pool of memory for requests, which shows how much of it is taken.
    pub(super) fn request_memory(&self, of: PoolOf, limit: usize) -> Pool {
        let labels = of.labels();
        let max = self.0.max_request_memory.get_or_create_owned(&labels);
        max.set(gauge(limit));
        Pool::new(limit, self.0.request_memory.get_or_create_owned(&labels))
    }

    fn of_refused(&self, limit: Full) -> Counter {
        let limit = match limit {
            Full::Address => "max_connections_per_address",
            Full::Server => "max_connections",
        };
        self.0.refused.get_or_create_owned(&[("limit", limit)])
    }

    fn calls(&self, policy: Option<&'static Policy>, dialect: Option<Dialect>) -> &Calls {
        let method = self.method(policy);
        let index = dialect.map_or(Dialect::ALL.len(), |dialect| dialect as usize);
        method.calls[index].get_or_init(|| self.0.families.calls(method, dialect))
    }

    fn method(&self, policy: Option<&'static Policy>) -> &Method {
        policy
            .and_then(|policy| self.0.methods.get(policy.index))
            .unwrap_or(&self.0.unknown)
    }
}

impl PoolOf {
    const ALL: [Self; 3] = [Self::Callers, Self::Others, Self::Health];

    fn labels(self) -> Labels<1> {
        let of = match self {
            Self::Callers => "callers",
            Self::Others => "others",
            Self::Health => "health",
        };
        [("of", of)]
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Families {
    fn method(&self, grpc_type: &'static str, service: &'static str, name: &'static str) -> Method {
        let labels = [
            ("grpc_type", grpc_type),
            ("grpc_service", service),
            ("grpc_method", name),
        ];
        let method = Method {
            labels,
            calls: Default::default(),
            seconds: self.seconds.get_or_create_owned(&labels),
            items: None,
        };
        let grpc = &method.calls[Dialect::Grpc as usize];
        grpc.get_or_init(|| self.calls(&method, Some(Dialect::Grpc)));
        method
    }

    fn calls(&self, method: &Method, dialect: Option<Dialect>) -> Calls {
        let [grpc_type, service, method] = method.labels;
        let dialect = ("dialect", dialect.map_or(UNKNOWN, Dialect::name));
        let labels = [grpc_type, service, method, dialect];
        Calls {
            started: self.started.get_or_create_owned(&labels),
            handled: CODES.map(|(_, code)| {
                let labels = [grpc_type, service, method, ("grpc_code", code), dialect];
                self.handled.get_or_create_owned(&labels)
            }),
        }
    }

    fn items(&self, policy: &'static Policy) -> [Counter; CODES.len()] {
        let service = ("grpc_service", policy.service());
        CODES.map(|(_, code)| {
            let method = ("grpc_method", policy.method());
            self.items
                .get_or_create_owned(&[service, method, ("grpc_code", code)])
        })
    }
}

impl Started {
    /// The full name of the RPC, or what stands for one that does not exist.
    pub(super) fn rpc(&self) -> &'static str {
        self.policy.map_or(UNKNOWN_RPC, Policy::name)
    }

    /// Counts the end of the call, and gives the time that it took.
    pub(super) fn finish(&self, code: Code) -> Duration {
        let elapsed = self.at.elapsed();
        let calls = self.metrics.calls(self.policy, self.dialect);
        // CODES is in the order of the numbers.
        calls.handled[code as usize].inc();
        let method = self.metrics.method(self.policy);
        method.seconds.observe(elapsed.as_secs_f64());
        elapsed
    }
}

/// The value of a gauge that shows a limit.
fn gauge(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The conventional name of a code.
pub(super) fn name(code: Code) -> &'static str {
    let (_, name) = CODES[code as usize];
    name
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
