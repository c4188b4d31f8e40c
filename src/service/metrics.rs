//! What the services count.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::{
    access::{Admitted, rpc},
    apps::Apps,
};

/// What the services count. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    replayed: Family<Replayed, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replayed {
    app: Arc<str>,
    grpc_method: &'static str,
}

impl Metrics {
    /// Registers it, with all apps from the start.
    pub fn register(&self, registry: &mut Registry, apps: &Apps) {
        for app in apps.iter() {
            for rpc in rpc::WITH_REQUEST_ID {
                let _ = self.of(&app.name, rpc);
            }
        }
        registry.register(
            "replayed",
            "Calls whose request_id was there before: nothing was sent",
            self.replayed.clone(),
        );
    }

    /// A call got the answer of another.
    pub(super) fn replayed(&self, admitted: &Admitted) {
        self.of(&admitted.app.name, admitted.rpc).inc();
    }

    fn of(&self, app: &Arc<str>, rpc: &'static str) -> Counter {
        let (_, grpc_method) = rpc.split_once('/').unwrap_or_default();
        self.replayed.get_or_create_owned(&Replayed {
            app: Arc::clone(app),
            grpc_method,
        })
    }
}
