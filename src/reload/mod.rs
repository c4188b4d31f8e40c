//! Files that are read again when they change: certificates, tokens, callers.
//!
//! They are looked at every 400 ms, by their content. Notifications from the file system
//! would be sooner, but miss what comes over a network or by a swapped symbolic link,
//! which is how Kubernetes changes the files of a Secret.
//!
//! - `metrics`: what is told of reloads

mod metrics;

use std::{
    mem,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::files::{Fingerprint, Snapshot};
use metrics::Standing;
pub(crate) use metrics::{Kind, ReloadMetrics};

/// How often files are read. A change is applied at the second look that finds it, so a
/// caller that is taken out is shut out within a second.
const INTERVAL: Duration = Duration::from_millis(400);

/// How long it may take to read files.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What puts files in force, or says what is wrong with them.
type Apply = Box<dyn FnMut(&Snapshot) -> Result<(), String> + Send>;

/// Files, and what to do when they change.
pub(crate) struct Reload {
    kind: Kind,
    files: Vec<PathBuf>,
    /// The files in force.
    applied: Fingerprint,
    /// The files as they were read last.
    seen: Fingerprint,
    /// The files that failed last.
    failed: Option<Fingerprint>,
    apply: Apply,
}

/// What reading files again has led to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// The files are those in force.
    InForce,
    /// The files have changed since they were read last, and may still be written to.
    Unsettled,
    /// The files have changed, and are in force now.
    Applied,
    /// The files have changed, and cannot be used.
    Wrong {
        error: String,
        /// Whether they are another version than the one that failed last.
        is_new: bool,
    },
}

impl Reload {
    /// Calls `apply` now, and whenever one of `files` has changed, until it succeeds. It
    /// either puts them in force or says what is wrong with them.
    ///
    /// # Errors
    ///
    /// If something is wrong with the files now.
    pub(crate) fn new(
        kind: Kind,
        files: Vec<PathBuf>,
        mut apply: impl FnMut(&Snapshot) -> Result<(), String> + Send + 'static,
    ) -> Result<Self, String> {
        let snapshot = Snapshot::take(&files);
        apply(&snapshot)?;
        let applied = snapshot.fingerprint();
        Ok(Self {
            kind,
            files,
            applied,
            seen: applied,
            failed: None,
            apply: Box::new(apply),
        })
    }

    /// Reads the files, and applies them if they have changed or could not be applied
    /// before. What was another thing one interval ago is left alone: it may be half
    /// written, and a half may be valid and say something else than the whole.
    fn look(&mut self) -> Look {
        let snapshot = Snapshot::take(&self.files);
        let now = snapshot.fingerprint();
        let before = mem::replace(&mut self.seen, now);
        if now == self.applied {
            self.failed = None;
            return Look::InForce;
        }
        if now != before {
            return Look::Unsettled;
        }
        match (self.apply)(&snapshot) {
            Ok(()) => {
                self.applied = now;
                self.failed = None;
                Look::Applied
            }
            Err(error) => {
                let is_new = self.failed.replace(now) != Some(now);
                Look::Wrong { error, is_new }
            }
        }
    }
}

/// Reads files again when they change, those of each `Reload` side by side with the others,
/// until it is dropped.
pub(crate) async fn watch(reloads: Vec<Reload>, metrics: ReloadMetrics) {
    let tasks: JoinSet<_> = reloads
        .into_iter()
        .map(|reload| watch_one(reload, metrics.clone()))
        .collect();
    tasks.join_all().await;
}

async fn watch_one(reload: Reload, metrics: ReloadMetrics) {
    let mut standing = Standing::new(metrics, reload.kind, reload.files.clone());
    let reload = Arc::new(Mutex::new(reload));
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut look = spawn_blocking({
            let reload = Arc::clone(&reload);
            // What panicked before is tried again: its files may have changed.
            move || {
                let mut reload = reload.lock().unwrap_or_else(PoisonError::into_inner);
                reload.look()
            }
        });
        let looked = if let Ok(looked) = timeout(READ_TIMEOUT, &mut look).await {
            looked
        } else {
            let error = format!("they could not be read within {READ_TIMEOUT:?}");
            standing.failed(&error, true);
            // A thread cannot be ended, and another one would hang as well.
            look.await
        };
        match looked {
            Ok(Look::InForce) => standing.in_force(),
            Ok(Look::Unsettled) => {}
            Ok(Look::Applied) => standing.applied(),
            Ok(Look::Wrong { error, is_new }) => standing.failed(&error, is_new),
            Err(panic) => standing.failed(&format!("a defect: {panic}"), false),
        }
    }
}

#[cfg(test)]
mod tests;
