//! What the services count.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::call::{App, Apps, Context, Policy};

/// The metrics of the services. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct ServiceMetrics {
    replayed: Family<OfRpc, Counter>,
    request_id_reused: Family<OfRpc, Counter>,
    token_rejected: Family<OfApp, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApp {
    app: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRpc {
    app: Arc<str>,
    grpc_method: &'static str,
}

impl ServiceMetrics {
    /// Registers the metrics. Every app is there from the start.
    pub fn register(&self, registry: &mut Registry, apps: &Apps) {
        for app in apps.iter() {
            let _ = self.token_rejections_of(&app.label);
            for policy in Policy::of_contract().filter(|policy| policy.takes_request_id) {
                for family in [&self.replayed, &self.request_id_reused] {
                    let _ = family.get_or_create(&OfRpc::new(&app.label, policy));
                }
            }
        }
        registry.register(
            "replayed",
            "Calls whose request_id was there before: nothing was sent",
            self.replayed.clone(),
        );
        registry.register(
            "request_id_reused",
            "Calls whose request_id was there before, for another request: nothing was sent",
            self.request_id_reused.clone(),
        );
        registry.register(
            "app_token_rejected",
            "Calls that Mesibo refused because of the application's own token",
            self.token_rejected.clone(),
        );
    }

    /// Counts a call that Mesibo refused because of the application's own token.
    pub(super) fn token_rejected(&self, app: &App) {
        self.token_rejections_of(&app.label).inc();
    }

    /// Counts a call that got the answer of another.
    pub(super) fn replayed(&self, call: &Context) {
        let of_rpc = OfRpc::new(&call.app.label, call.policy);
        self.replayed.get_or_create(&of_rpc).inc();
    }

    /// Counts a call that was refused, because its `request_id` is another request's.
    pub(super) fn request_id_reused(&self, call: &Context) {
        let of_rpc = OfRpc::new(&call.app.label, call.policy);
        self.request_id_reused.get_or_create(&of_rpc).inc();
    }

    fn token_rejections_of(&self, app: &Arc<str>) -> Counter {
        self.token_rejected.get_or_create_owned(&OfApp {
            app: Arc::clone(app),
        })
    }
}

impl OfRpc {
    fn new(app: &Arc<str>, policy: &'static Policy) -> Self {
        Self {
            app: Arc::clone(app),
            grpc_method: policy.method(),
        }
    }
}
