//! What a client counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{error::Error, operation::op};

/// What a client counts, by the name of the operation.
#[derive(Clone, Default)]
pub(super) struct Metrics {
    attempts: Family<[(&'static str, &'static str); 1], Counter>,
    calls: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Metrics {
    /// Metrics that are all there from the start, so that a rate has a beginning.
    pub(super) fn new() -> Self {
        let metrics = Self::default();
        for op in op::ALL {
            let _ = metrics.attempts.get_or_create(&[("op", op)]);
            for outcome in ["ok"].into_iter().chain(Error::OUTCOMES) {
                let _ = metrics
                    .calls
                    .get_or_create(&[("op", op), ("outcome", outcome)]);
            }
        }
        metrics
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "upstream_attempts",
            "Attempts of calls to Mesibo, by operation",
            self.attempts.clone(),
        );
        registry.register(
            "upstream_calls",
            "Calls to Mesibo, each of one attempt or a few, by operation and outcome",
            self.calls.clone(),
        );
    }

    /// Another attempt begins.
    pub(super) fn attempt(&self, op: &'static str) {
        self.attempts.get_or_create(&[("op", op)]).inc();
    }

    /// A call is over.
    pub(super) fn call<R>(&self, op: &'static str, result: &Result<R, Error>) {
        let outcome = result.as_ref().err().map_or("ok", Error::outcome);
        self.calls
            .get_or_create(&[("op", op), ("outcome", outcome)])
            .inc();
    }
}
