//! What clients count, and the state that they are in.

use std::{fmt, sync::Arc, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{client::Client, error::Error, operation::op};

/// How the histograms of times, in seconds, are made.
type Seconds = fn() -> Histogram;

/// A number of a state.
type OfState = fn(State) -> usize;

/// What clients count, by the app that they are for. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<OfOp, Counter>,
    calls: Family<Ended, Counter>,
    seconds: Family<OfOp, Histogram, Seconds>,
    connections: Family<OfApp, Gauge>,
}

/// What one client counts. Its counters are looked up once.
pub(super) struct OfClient {
    ops: [Op; op::ALL.len()],
    connections: Gauge,
}

/// What a client counts of one operation.
struct Op {
    name: &'static str,
    attempts: Counter,
    outcomes: [(&'static str, Counter); Error::OUTCOMES.len()],
    seconds: Histogram,
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open(Gauge);

/// The states of clients, at the moment that somebody asks.
pub struct States(pub Vec<Client>);

/// The state of a client, but for what it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
    pub(super) max_in_flight: usize,
    pub(super) breaker_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApp {
    app: Arc<str>,
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

impl Metrics {
    /// Metrics whose histograms, of times in seconds, are made by `seconds`.
    #[must_use]
    pub fn new(seconds: Seconds) -> Self {
        Self {
            attempts: Family::default(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            connections: Family::default(),
        }
    }

    /// Registers all that clients count.
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
            "Connections to Mesibo that are open",
            self.connections.clone(),
        );
    }

    /// What the client of an app counts. All is there from the start, so that a rate has
    /// a beginning.
    pub(super) fn of_client(&self, app: &Arc<str>) -> OfClient {
        let app = || Arc::clone(app);
        OfClient {
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
            connections: self.connections.get_or_create_owned(&OfApp { app: app() }),
        }
    }
}

impl OfClient {
    /// Another attempt begins.
    pub(super) fn attempt(&self, op: &'static str) {
        self.of(op).attempts.inc();
    }

    /// A call that began at `started` is over.
    pub(super) fn call<R>(&self, op: &'static str, started: Instant, result: &Result<R, Error>) {
        let of_op = self.of(op);
        of_op.seconds.observe(started.elapsed().as_secs_f64());
        let outcome = result.as_ref().err().map_or(Error::NONE, Error::outcome);
        let mut outcomes = of_op.outcomes.iter();
        if let Some((_, counter)) = outcomes.find(|(name, _)| *name == outcome) {
            counter.inc();
        }
    }

    /// Where connections that are open are counted.
    pub(super) fn connections(&self) -> Gauge {
        self.connections.clone()
    }

    fn of(&self, op: &'static str) -> &Op {
        let mut ops = self.ops.iter();
        ops.find(|of_op| of_op.name == op)
            .expect("ALL has them all")
    }
}

impl Open {
    /// Counts a connection, until this is dropped.
    pub(super) fn new(connections: &Gauge) -> Self {
        connections.inc();
        Self(connections.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
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
