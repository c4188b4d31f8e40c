//! The metrics of the calls to Mesibo.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderMap;
use mesibo::{Client, Error, Observer, Protocol, State, operation::op};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{metrics::seconds, trace};

/// How the histograms of times, in seconds, are made.
type Seconds = fn() -> Histogram;

/// A number in a state.
type OfState = fn(State) -> usize;

/// The metrics of the clients of Mesibo, by app. Clones share the counters.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    attempts: Family<OfOp, Counter>,
    calls: Family<Ended, Counter>,
    seconds: Family<OfOp, Histogram, Seconds>,
    connections: Family<OfProtocol, Gauge>,
}

/// The metrics of the client of one app, whose counters are looked up once.
pub struct ClientMetrics {
    ops: [Op; op::ALL.len()],
    connections: [(&'static str, Gauge); Protocol::NAMES.len()],
}

/// The counters of one operation.
struct Op {
    name: &'static str,
    attempts: Counter,
    outcomes: [(&'static str, Counter); Error::OUTCOMES.len()],
    seconds: Histogram,
}

/// Gauges of the states of clients, read when the metrics are.
pub struct States(pub Vec<Client>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApp {
    app: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProtocol {
    app: Arc<str>,
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOp {
    app: Arc<str>,
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    app: Arc<str>,
    op: &'static str,
    outcome: &'static str,
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            connections: Family::default(),
        }
    }
}

impl UpstreamMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "upstream_attempts",
            "Attempts of calls to Mesibo, by app and operation",
            self.attempts.clone(),
        );
        registry.register(
            "upstream_calls",
            "Calls to Mesibo, each of one attempt or a few, by app, operation and outcome",
            self.calls.clone(),
        );
        registry.register(
            "upstream_seconds",
            "How long calls to Mesibo took, all attempts and pauses included",
            self.seconds.clone(),
        );
        registry.register(
            "upstream_connections",
            "Connections to Mesibo that are open, by app and version of HTTP",
            self.connections.clone(),
        );
    }

    /// The metrics of the client of an app. Every series is there from the start, so that
    /// a rate has a beginning.
    #[must_use]
    pub fn of_client(&self, app: &Arc<str>) -> ClientMetrics {
        let app = || Arc::clone(app);
        ClientMetrics {
            ops: op::ALL.map(|name| {
                let labels = OfOp {
                    app: app(),
                    op: name,
                };
                Op {
                    name,
                    attempts: self.attempts.get_or_create_owned(&labels),
                    outcomes: Error::OUTCOMES.map(|outcome| {
                        let labels = Ended {
                            app: app(),
                            op: name,
                            outcome,
                        };
                        (outcome, self.calls.get_or_create_owned(&labels))
                    }),
                    seconds: self.seconds.get_or_create_owned(&labels),
                }
            }),
            connections: Protocol::NAMES.map(|protocol| {
                let labels = OfProtocol {
                    app: app(),
                    protocol,
                };
                (protocol, self.connections.get_or_create_owned(&labels))
            }),
        }
    }
}

impl ClientMetrics {
    fn of(&self, op: &'static str) -> &Op {
        let mut ops = self.ops.iter();
        ops.find(|of_op| of_op.name == op)
            .expect("ALL has every operation")
    }

    fn connections(&self, protocol: &'static str) -> Option<&Gauge> {
        let mut connections = self.connections.iter();
        let (_, gauge) = connections.find(|(name, _)| *name == protocol)?;
        Some(gauge)
    }
}

impl Observer for ClientMetrics {
    fn attempt(&self, op: &'static str) {
        self.of(op).attempts.inc();
    }

    fn call(&self, op: &'static str, outcome: &'static str, elapsed: Duration) {
        let of_op = self.of(op);
        of_op.seconds.observe(elapsed.as_secs_f64());
        let mut outcomes = of_op.outcomes.iter();
        if let Some((_, counter)) = outcomes.find(|(name, _)| *name == outcome) {
            counter.inc();
        }
    }

    fn connection_opened(&self, protocol: &'static str) {
        if let Some(connections) = self.connections(protocol) {
            connections.inc();
        }
    }

    fn connection_closed(&self, protocol: &'static str) {
        if let Some(connections) = self.connections(protocol) {
            connections.dec();
        }
    }

    fn request(&self, headers: &mut HeaderMap) {
        trace::inject(headers);
    }
}

impl Collector for States {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let gauges: [(&str, &str, OfState); 4] = [
            (
                "upstream_in_flight",
                "Requests to Mesibo that are in flight",
                |state| state.in_flight,
            ),
            (
                "upstream_waiting",
                "Requests to Mesibo that wait for one in flight to end",
                |state| state.waiting,
            ),
            (
                "upstream_max_in_flight",
                "How many requests to Mesibo may be in flight",
                |state| state.max_in_flight,
            ),
            (
                "upstream_breaker_open",
                "1 while calls are held back, for Mesibo does not answer, otherwise 0",
                |state| state.breaker_open.into(),
            ),
        ];
        for (name, help, value) in gauges {
            let family = Family::<OfApp, Gauge>::default();
            for client in &self.0 {
                let app = Arc::clone(client.app());
                let gauge = family.get_or_create_owned(&OfApp { app });
                gauge.set(value(client.state()).try_into().unwrap_or(i64::MAX));
            }
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode(encoder)?;
        }
        Ok(())
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(Client::state))
            .finish()
    }
}
