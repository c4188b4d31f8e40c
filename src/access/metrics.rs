//! What is counted of callers.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{Denial, caller::Callers};
use crate::{apps::Apps, status::Reason};

/// What is counted of callers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    calls: Family<OfCaller, Counter>,
    denied: Family<[(&'static str, &'static str); 1], Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCaller {
    caller: Arc<str>,
    app: Arc<str>,
}

impl Metrics {
    /// Registers it, with all reasons from the start.
    pub fn register(&self, registry: &mut Registry) {
        for reason in Reason::DENIALS {
            let _ = self.denied_for(reason);
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

    /// These callers may use some of these apps, and are counted from now on.
    pub(super) fn expect(&self, callers: &Callers, apps: &Apps) {
        for caller in callers.iter().chain(callers.anonymous().map(AsRef::as_ref)) {
            for app in apps.iter().filter(|app| caller.may_use(&app.name)) {
                let _ = self.calls_of(&caller.name, &app.name);
            }
        }
    }

    /// A call was let in.
    pub(super) fn admitted(&self, caller: &Arc<str>, app: &Arc<str>) {
        self.calls_of(caller, app).inc();
    }

    /// A call was not.
    pub fn denied(&self, denial: &Denial) {
        self.denied_for(denial.reason()).inc();
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
