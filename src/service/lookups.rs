//! Looks up at Mesibo what the directory is not sure of.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mesibo::{Client, Failure, Operation, reply};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::{
    call::{App, Apps},
    status::ErrorCodes,
    store::{
        Directory,
        directory::{Due, Finding},
    },
};

/// The longest time that Mesibo has for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often uncertain entries are counted.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// The kinds of entries, in the order of their counts.
const KINDS: [&str; 3] = ["users", "groups", "members"];

/// Looks up uncertain users of all apps.
pub struct Lookups {
    directory: Arc<dyn Directory>,
    apps: Arc<Apps>,
    codes: ErrorCodes,
    every: Duration,
    metrics: LookupMetrics,
}

/// The metrics of the directory's entries. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct LookupMetrics {
    lookups: Family<OfLookups, Counter>,
    uncertain: Family<OfEntries, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLookups {
    app: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEntries {
    app: Arc<str>,
    kind: &'static str,
}

impl LookupMetrics {
    /// Registers the metrics. Every series is there from the start.
    pub fn register(&self, registry: &mut Registry, apps: &Apps) {
        for app in apps.iter() {
            let app = &app.label;
            for result in ["found", "absent", "failed"] {
                let app = Arc::clone(app);
                drop(self.lookups.get_or_create(&OfLookups { app, result }));
            }
            for kind in KINDS {
                let app = Arc::clone(app);
                drop(self.uncertain.get_or_create(&OfEntries { app, kind }));
            }
        }
        registry.register(
            "directory_lookups",
            "Uncertain users that were looked up at Mesibo, by what it said",
            self.lookups.clone(),
        );
        registry.register(
            "directory_uncertain",
            "Entries of the directory that are uncertain, but for writes under way, by kind",
            self.uncertain.clone(),
        );
    }
}

impl Lookups {
    /// Looks up one user of an app in every `every`, of all processes with the same store
    /// together.
    #[must_use]
    pub fn new(
        directory: Arc<dyn Directory>,
        apps: Arc<Apps>,
        codes: ErrorCodes,
        every: Duration,
        metrics: LookupMetrics,
    ) -> Self {
        Self {
            directory,
            apps,
            codes,
            every,
            metrics,
        }
    }

    /// Looks up and counts. Never completes.
    pub async fn run(self) {
        join_all(self.apps.iter().map(|app| self.watch(app))).await;
    }

    async fn watch(&self, app: &App) {
        let mut counted: Option<Instant> = None;
        loop {
            if counted.is_none_or(|counted| counted.elapsed() >= COUNT_EVERY) {
                counted = Some(Instant::now());
                self.count(app).await;
            }
            match self.directory.take_due(&app.name, self.every).await {
                Ok(Some(due)) => self.look_up(app, due).await,
                Ok(None) => {}
                Err(error) => tracing::debug!(app = &*app.name, %error, "no user is looked up"),
            }
            // Not in step with the other processes.
            sleep(self.every.mul_f64(fastrand::f64().mul_add(0.2, 0.9))).await;
        }
    }

    async fn look_up(&self, app: &App, due: Due) {
        let result = match self.ask(&app.client, &due.address).await {
            Some(finding) => {
                self.directory.resolve(due, finding);
                match finding {
                    Finding::Found { .. } => "found",
                    Finding::Absent => "absent",
                }
            }
            None => "failed",
        };
        let of_lookups = OfLookups {
            app: Arc::clone(&app.label),
            result,
        };
        self.metrics.lookups.get_or_create(&of_lookups).inc();
    }

    /// What Mesibo says of an address. `None` if that cannot be told.
    async fn ask(&self, client: &Client, address: &str) -> Option<Finding> {
        let operation = Operation::users_get(Some(address), None);
        match client.call(operation, Instant::now() + TIMEOUT).await {
            Ok(reply::Users(users)) => {
                let is_it = |user: &&reply::User| user.address.as_deref() == Some(address);
                match users.iter().find(is_it) {
                    Some(user) => Some(Finding::Found {
                        uid: user.uid?,
                        active: user.active,
                        flags: user.flag,
                    }),
                    // It may be one whose address the reply does not tell.
                    None if users.iter().any(|user| user.address.is_none()) => None,
                    None => Some(Finding::Absent),
                }
            }
            Err(error) => match error.failure() {
                Failure::Refused {
                    code: Some(code), ..
                } if self.codes.get(code) == Code::NotFound => Some(Finding::Absent),
                _ => None,
            },
        }
    }

    async fn count(&self, app: &App) {
        let Ok(counts) = self.directory.count_uncertain(&app.name).await else {
            return;
        };
        for (kind, count) in KINDS.into_iter().zip(counts) {
            let app = Arc::clone(&app.label);
            let gauge = self
                .metrics
                .uncertain
                .get_or_create(&OfEntries { app, kind });
            gauge.set(count.try_into().unwrap_or(i64::MAX));
        }
    }
}
