//! What the services count.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::call::{Apps, Context, Policy};

/// The metrics of the services. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct ServiceMetrics {
    replayed: Family<Replayed, Counter>,
    token_rejected: Family<OfApp, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApp {
    app: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replayed {
    app: Arc<str>,
    grpc_method: &'static str,
}

impl ServiceMetrics {
    /// Registers the metrics. Every app is there from the start.
    pub fn register(&self, registry: &mut Registry, apps: &Apps) {
        for app in apps.iter() {
            let _ = self.token_rejections_of(&app.name);
            for policy in Policy::of_contract().filter(|policy| policy.takes_request_id) {
                let _ = self.replays_of(&app.name, policy);
            }
        }
        registry.register(
            "replayed",
            "Calls whose request_id was there before: nothing was sent",
            self.replayed.clone(),
        );
        registry.register(
            "app_token_rejected",
            "Calls that Mesibo refused because of the application's own token",
            self.token_rejected.clone(),
        );
    }

    /// Counts a call that Mesibo refused because of the application's own token.
    pub(super) fn token_rejected(&self, app: &Arc<str>) {
        self.token_rejections_of(app).inc();
    }

    /// Counts a call that got the answer of another.
    pub(super) fn replayed(&self, call: &Context) {
        self.replays_of(&call.app.name, call.policy).inc();
    }

    fn token_rejections_of(&self, app: &Arc<str>) -> Counter {
        self.token_rejected.get_or_create_owned(&OfApp {
            app: Arc::clone(app),
        })
    }

    fn replays_of(&self, app: &Arc<str>, policy: &'static Policy) -> Counter {
        self.replayed.get_or_create_owned(&Replayed {
            app: Arc::clone(app),
            grpc_method: policy.method(),
        })
    }
}
