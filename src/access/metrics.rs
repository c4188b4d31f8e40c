//! The metrics of callers.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::callers::Callers;
use crate::{
    call::{Apps, Denial},
    status::Reason,
};

/// The metrics of callers. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct CallerMetrics {
    calls: Family<OfCaller, Counter>,
    denied: Family<Denied, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCaller {
    caller: Arc<str>,
    app: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denied {
    reason: &'static str,
    /// Empty if nobody knows who called.
    caller: Arc<str>,
}

impl CallerMetrics {
    /// Registers the metrics. Every reason is there from the start.
    pub fn register(&self, registry: &mut Registry) {
        for reason in Reason::DENIALS {
            let _ = self.denied_for(*reason, "".into());
        }
        registry.register(
            "caller_calls",
            "Calls that were let in, by caller and app",
            self.calls.clone(),
        );
        registry.register(
            "denied",
            "Calls that were not allowed, by the reason that their statuses give and the caller \
             if it is known",
            self.denied.clone(),
        );
    }

    /// Makes the counters of these callers and the apps that they may use.
    pub(super) fn expect(&self, callers: &Callers, apps: &Apps) {
        for caller in callers.iter().chain(callers.anonymous().map(AsRef::as_ref)) {
            for app in apps.iter().filter(|app| caller.may_use(&app.name)) {
                let _ = self.calls_of(&caller.name, &app.label);
            }
        }
    }

    /// Counts a call that was admitted.
    pub(super) fn admitted(&self, caller: &Arc<str>, app: &Arc<str>) {
        self.calls_of(caller, app).inc();
    }

    /// Counts a call that was denied, of a caller if it is known.
    pub fn denied(&self, denial: &Denial, caller: Option<&Arc<str>>) {
        let caller = caller.map_or_else(|| "".into(), Arc::clone);
        self.denied_for(Reason::of(denial), caller).inc();
    }

    fn calls_of(&self, caller: &Arc<str>, app: &Arc<str>) -> Counter {
        self.calls.get_or_create_owned(&OfCaller {
            caller: Arc::clone(caller),
            app: Arc::clone(app),
        })
    }

    fn denied_for(&self, reason: Reason, caller: Arc<str>) -> Counter {
        self.denied.get_or_create_owned(&Denied {
            reason: reason.as_str(),
            caller,
        })
    }
}
