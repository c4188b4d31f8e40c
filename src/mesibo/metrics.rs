//! What clients count.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{error::Error, operation::op};

/// What clients count, by the app that they are for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    attempts: Family<Attempt, Counter>,
    calls: Family<Call, Counter>,
}

/// What one client counts.
pub(super) struct OfApp {
    app: Arc<str>,
    metrics: Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    app: Arc<str>,
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    app: Arc<str>,
    op: &'static str,
    outcome: &'static str,
}

impl Metrics {
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
    }

    /// What the client of an app counts. All is there from the start, so that a rate has
    /// a beginning.
    pub(super) fn of_app(&self, app: Arc<str>) -> OfApp {
        let of_app = OfApp {
            app,
            metrics: self.clone(),
        };
        for op in op::ALL {
            let _ = of_app.attempts(op);
            for outcome in ["ok"].into_iter().chain(Error::OUTCOMES) {
                let _ = of_app.calls(op, outcome);
            }
        }
        of_app
    }
}

impl OfApp {
    /// Another attempt begins.
    pub(super) fn attempt(&self, op: &'static str) {
        self.attempts(op).inc();
    }

    /// A call is over.
    pub(super) fn call<R>(&self, op: &'static str, result: &Result<R, Error>) {
        let outcome = result.as_ref().err().map_or("ok", Error::outcome);
        self.calls(op, outcome).inc();
    }

    fn attempts(&self, op: &'static str) -> Counter {
        let app = Arc::clone(&self.app);
        self.metrics
            .attempts
            .get_or_create_owned(&Attempt { app, op })
    }

    fn calls(&self, op: &'static str, outcome: &'static str) -> Counter {
        let app = Arc::clone(&self.app);
        self.metrics
            .calls
            .get_or_create_owned(&Call { app, op, outcome })
    }
}
