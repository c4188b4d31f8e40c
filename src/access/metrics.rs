//! The metrics of callers.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::caller::Callers;
use crate::{
    call::{Apps, Denial},
    status::Reason,
};

/// The metrics of callers. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct CallerMetrics {
    calls: Family<OfCaller, Counter>,
    denied: Family<[(&'static str, &'static str); 1], Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCaller {
    caller: Arc<str>,
    app: Arc<str>,
}

impl CallerMetrics {
    /// Registers the metrics. Every reason is there from the start.
    pub fn register(&self, registry: &mut Registry) {
        for reason in Reason::DENIALS {
            let _ = self.denied_for(*reason);
        }
        registry.register(
            "caller_calls",
            "Calls that were let in, by caller and app",
            self.calls.clone(),
        );
        registry.register(
            "denied",
            "Calls that were not allowed, by the reason that their statuses give",
            self.denied.clone(),
        );
    }

    /// Makes the counters of these callers and the apps that they may use.
    pub(super) fn expect(&self, callers: &Callers, apps: &Apps) {
        for caller in callers.iter().chain(callers.anonymous().map(AsRef::as_ref)) {
            for app in apps.iter().filter(|app| caller.may_use(&app.name)) {
                let _ = self.calls_of(&caller.name, &app.name);
            }
        }
    }

    /// Counts a call that was admitted.
    pub(super) fn admitted(&self, caller: &Arc<str>, app: &Arc<str>) {
        self.calls_of(caller, app).inc();
    }

    /// Counts a call that was denied.
    pub fn denied(&self, denial: &Denial) {
        self.denied_for(Reason::of(denial)).inc();
    }

    fn calls_of(&self, caller: &Arc<str>, app: &Arc<str>) -> Counter {
        self.calls.get_or_create_owned(&OfCaller {
            caller: Arc::clone(caller),
            app: Arc::clone(app),
        })
    }

    fn denied_for(&self, reason: Reason) -> Counter {
        self.denied
            .get_or_create_owned(&[("reason", reason.as_str())])
    }
}
