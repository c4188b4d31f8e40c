//! What the metrics and the log tell of reloads.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The kind of a file that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server's certificate and key, and the authorities and revocation lists of
    /// clients.
    Certificate,
    /// The token of an application.
    Token,
    /// The callers in the settings file.
    Callers,
}

/// The metrics of reloads. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ReloadMetrics {
    reloads: Family<Labels<2>, Counter>,
    succeeded: Family<Labels<1>, Gauge>,
    last_success: Family<Labels<1>, Gauge>,
    /// The kinds of the reloads that fail, each as often as it has such reloads.
    failing: Arc<Mutex<Vec<Kind>>>,
}

/// How the reload of some files stands.
pub(super) struct Standing {
    metrics: ReloadMetrics,
    kind: Kind,
    files: Vec<PathBuf>,
    is_failing: bool,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Certificate, Self::Token, Self::Callers];

    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Callers => "callers",
        }
    }
}

impl ReloadMetrics {
    /// Registers the metrics. The counters are there from the start.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for kind in Kind::ALL {
            for outcome in ["ok", "failed"] {
                let _ = self.reloads(kind, outcome);
            }
        }
        registry.register(
            "reloads",
            "Files that changed and were read again; what failed left the old in force",
            self.reloads.clone(),
        );
        registry.register(
            "reload_last_attempt_succeeded",
            "1 if all files of a kind are in force as they are now, 0 if an old version is",
            self.succeeded.clone(),
        );
        registry.register(
            "reload_last_success_timestamp_seconds",
            "When files of a kind were put in force last, since the Unix epoch",
            self.last_success.clone(),
        );
    }

    pub(super) fn reloads(&self, kind: Kind, outcome: &'static str) -> Counter {
        let labels = [("kind", kind.name()), ("outcome", outcome)];
        self.reloads.get_or_create_owned(&labels)
    }

    pub(super) fn succeeded(&self, kind: Kind) -> Gauge {
        self.succeeded.get_or_create_owned(&[("kind", kind.name())])
    }

    /// Tells that files of a kind are in force from now on.
    fn put_in_force(&self, kind: Kind) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let gauge = self
            .last_success
            .get_or_create_owned(&[("kind", kind.name())]);
        gauge.set(now.try_into().unwrap_or(i64::MAX));
    }

    /// Tells whether one reload of a kind has begun or ceased to fail.
    fn set_failing(&self, kind: Kind, is_failing: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if is_failing {
            failing.push(kind);
        } else if let Some(index) = failing.iter().position(|other| *other == kind) {
            failing.swap_remove(index);
        }
        self.succeeded(kind).set((!failing.contains(&kind)).into());
    }
}

impl Standing {
    /// Files that are in force.
    pub(super) fn new(metrics: ReloadMetrics, kind: Kind, files: Vec<PathBuf>) -> Self {
        metrics.put_in_force(kind);
        metrics.succeeded(kind).set(1);
        Self {
            metrics,
            kind,
            files,
            is_failing: false,
        }
    }

    /// The files are those in force.
    pub(super) fn in_force(&mut self) {
        if self.mend() {
            let (kind, files) = (self.kind.name(), &self.files);
            tracing::info!(kind, ?files, "files are again those that are in force");
        }
    }

    /// The files changed, and are in force now.
    pub(super) fn applied(&mut self) {
        self.mend();
        self.metrics.put_in_force(self.kind);
        self.metrics.reloads(self.kind, "ok").inc();
        let (kind, files) = (self.kind.name(), &self.files);
        tracing::info!(kind, ?files, "files were read again, and are in force");
    }

    /// The files cannot be used, `is_new` for another reason than before.
    pub(super) fn failed(&mut self, error: &str, is_new: bool) {
        if self.is_failing && !is_new {
            return;
        }
        if !self.is_failing {
            self.metrics.set_failing(self.kind, true);
        }
        self.is_failing = true;
        self.metrics.reloads(self.kind, "failed").inc();
        let (kind, files) = (self.kind.name(), &self.files);
        tracing::error!(
            kind,
            ?files,
            error,
            "files were read again, but cannot be used: the previous ones stay in force until \
             they can"
        );
    }

    /// Ends a failure, and tells whether there was one.
    fn mend(&mut self) -> bool {
        let was_failing = std::mem::take(&mut self.is_failing);
        if was_failing {
            self.metrics.set_failing(self.kind, false);
        }
        was_failing
    }
}
