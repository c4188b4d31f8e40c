//! The metrics of a store.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{ClaimResult, DirectoryResult, Event, Observer, SettleResult, Store};
use crate::telemetry::metrics::seconds;

/// The metrics of a store. Clones share the counters.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    claims: Family<OfClaims, Counter>,
    claim_seconds: Histogram,
    settlements: Family<OfSettlements, Counter>,
    write_seconds: Histogram,
    written_rows: Counter,
    errors: Counter,
    swept_rows: Counter,
    rows: Gauge,
    directory: Family<OfDirectory, Counter>,
}

/// Gauges of what waits to be written to a store, read when the metrics are.
pub struct Queues(pub Arc<dyn Store>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClaims {
    result: ClaimResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSettlements {
    result: SettleResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirectory {
    result: DirectoryResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    kind: &'static str,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            claims: Family::default(),
            claim_seconds: seconds(),
            settlements: Family::default(),
            write_seconds: seconds(),
            written_rows: Counter::default(),
            errors: Counter::default(),
            swept_rows: Counter::default(),
            rows: Gauge::default(),
            directory: Family::default(),
        }
    }
}

impl StoreMetrics {
    /// Registers the metrics. Every series is there from the start, so that a rate has a
    /// beginning.
    pub fn register(&self, registry: &mut Registry) {
        for result in ClaimResult::ALL {
            drop(self.claims.get_or_create(&OfClaims { result }));
        }
        for result in SettleResult::ALL {
            drop(self.settlements.get_or_create(&OfSettlements { result }));
        }
        for result in DirectoryResult::ALL {
            drop(self.directory.get_or_create(&OfDirectory { result }));
        }
        registry.register(
            "store_claims",
            "Claims of request ids, by result",
            self.claims.clone(),
        );
        registry.register(
            "store_claim_seconds",
            "How long claims of request ids took, waiting in the queue included",
            self.claim_seconds.clone(),
        );
        registry.register(
            "store_settlements",
            "Outcomes of calls with a request id, by what became of writing them",
            self.settlements.clone(),
        );
        registry.register(
            "store_write_seconds",
            "How long the database took for claims and outcomes that were written together",
            self.write_seconds.clone(),
        );
        registry.register(
            "store_written_rows",
            "Claims and outcomes that the database was given, again after a failure",
            self.written_rows.clone(),
        );
        registry.register(
            "store_errors",
            "Failures of the database",
            self.errors.clone(),
        );
        registry.register(
            "store_swept_rows",
            "Request ids that were deleted after the retention",
            self.swept_rows.clone(),
        );
        registry.register(
            "store_rows",
            "Request ids in the database, as it estimates; 0 with memory",
            self.rows.clone(),
        );
        registry.register(
            "directory_records",
            "Intents, outcomes and other records for the directory, by what became of writing them",
            self.directory.clone(),
        );
    }
}

impl Observer for StoreMetrics {
    fn observe(&self, event: Event) {
        match event {
            Event::Claimed { result, took } => {
                self.claims.get_or_create(&OfClaims { result }).inc();
                self.claim_seconds.observe(took.as_secs_f64());
            }
            Event::Settled(result) => {
                let of_settlements = OfSettlements { result };
                self.settlements.get_or_create(&of_settlements).inc();
            }
            Event::Wrote { rows, took } => {
                self.written_rows
                    .inc_by(rows.try_into().unwrap_or(u64::MAX));
                self.write_seconds.observe(took.as_secs_f64());
            }
            Event::Failed => {
                self.errors.inc();
            }
            Event::Swept { rows } => {
                self.swept_rows.inc_by(rows);
            }
            Event::Rows(rows) => {
                self.rows.set(rows.try_into().unwrap_or(i64::MAX));
            }
            Event::Directory(result) => {
                self.directory.get_or_create(&OfDirectory { result }).inc();
            }
        }
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let backlog = self.0.backlog();
        let family = Family::<OfQueue, Gauge>::default();
        for (kind, count) in [
            ("claims", backlog.claims),
            ("settlements", backlog.settlements),
            ("records", backlog.records),
        ] {
            let gauge = family.get_or_create_owned(&OfQueue { kind });
            gauge.set(count.try_into().unwrap_or(i64::MAX));
        }
        let help = "Claims, outcomes and records for the directory that wait to be written";
        let encoder = encoder.encode_descriptor("store_queue", help, None, MetricType::Gauge)?;
        family.encode(encoder)
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queues").field(&self.0.backlog()).finish()
    }
}
