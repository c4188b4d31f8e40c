//! Files that are read again when they change: certificates, tokens, callers.
//!
//! They are looked at every second, by their content. Notifications from the file system
//! would be sooner, but miss what comes over a network or by a swapped symbolic link,
//! which is how Kubernetes changes the files of a Secret.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use ring::digest::{Context, SHA256};
use tokio::{task::spawn_blocking, time::interval};
use zeroize::Zeroizing;

/// How often files are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kind of a file that is read again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The server's certificate and key, and the authorities of clients.
    Certificate,
    /// The token of an application.
    Token,
    /// The callers in the settings file.
    Callers,
}

/// The metrics of reloads. Clones share the counters.
#[derive(Clone, Default)]
pub(crate) struct ReloadMetrics(Family<[(&'static str, &'static str); 2], Counter>);

/// The SHA-256 of what files hold.
type Fingerprint = [u8; 32];

/// Files, and what to do when they change.
pub(crate) struct Reload {
    kind: Kind,
    files: Vec<PathBuf>,
    /// The files in force.
    applied: Fingerprint,
    /// The files that failed last.
    failed: Option<Fingerprint>,
    apply: Box<dyn FnMut() -> Result<(), String> + Send>,
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
    /// Registers the metrics. Every series is there from the start.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for kind in Kind::ALL {
            for outcome in ["ok", "failed"] {
                let _ = self.of(kind, outcome);
            }
        }
        registry.register(
            "reloads",
            "Files that changed and were read again; what failed left the old in force",
            self.0.clone(),
        );
    }

    fn of(&self, kind: Kind, outcome: &'static str) -> Counter {
        self.0
            .get_or_create_owned(&[("kind", kind.name()), ("outcome", outcome)])
    }
}

impl Reload {
    /// Calls `apply` now, and whenever one of `files` changes, until it succeeds. It reads
    /// the files, and either puts them in force or says what is wrong with them.
    ///
    /// # Errors
    ///
    /// If something is wrong with the files now.
    pub(crate) fn new(
        kind: Kind,
        files: Vec<PathBuf>,
        mut apply: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> Result<Self, String> {
        // Before the files are applied, so that no later change is missed.
        let applied = fingerprint(&files);
        apply()?;
        Ok(Self {
            kind,
            files,
            applied,
            failed: None,
            apply: Box::new(apply),
        })
    }

    /// Applies the files if they have changed, or could not be applied before.
    fn look(&mut self, metrics: &ReloadMetrics) {
        let seen = fingerprint(&self.files);
        if seen == self.applied {
            self.failed = None;
            return;
        }
        let (kind, files) = (self.kind.name(), &self.files);
        match (self.apply)() {
            Ok(()) => {
                self.applied = seen;
                self.failed = None;
                metrics.of(self.kind, "ok").inc();
                tracing::info!(kind, ?files, "files were read again, and are in force");
            }
            Err(error) => {
                // Once for each version, however often it is tried.
                if self.failed.replace(seen) != Some(seen) {
                    metrics.of(self.kind, "failed").inc();
                    tracing::error!(
                        kind,
                        ?files,
                        error,
                        "files were read again, but cannot be used: the previous ones stay in \
                         force until they can"
                    );
                }
            }
        }
    }
}

/// Reads the files again when they change, until it is dropped.
pub(crate) async fn watch(reloads: Vec<Reload>, metrics: ReloadMetrics) {
    let mut ticks = interval(INTERVAL);
    let reloads = Arc::new(Mutex::new(reloads));
    loop {
        ticks.tick().await;
        let (reloads, metrics) = (Arc::clone(&reloads), metrics.clone());
        let looked = spawn_blocking(move || {
            // What panicked before is tried again: its files may have changed.
            let mut reloads = reloads.lock().unwrap_or_else(PoisonError::into_inner);
            for reload in reloads.iter_mut() {
                reload.look(&metrics);
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "reading files again failed, which is a defect; it goes on");
        }
    }
}

/// A digest of the contents of files, which may be secret and are not kept.
fn fingerprint(files: &[PathBuf]) -> Fingerprint {
    let mut digest = Context::new(&SHA256);
    for file in files {
        // A file that cannot be read differs from every other.
        let content = fs::read(file).map(Zeroizing::new).ok();
        let length = content
            .as_ref()
            .map_or(u64::MAX, |content| content.len() as u64);
        digest.update(&length.to_be_bytes());
        digest.update(content.as_deref().map_or(&[], Vec::as_slice));
    }
    digest
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_no_later_reload() {
        let (sender, mut applied) = mpsc::unbounded_channel();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let mut is_start = true;
        let reload = Reload::new(Kind::Token, vec![file.clone()], move || {
            sender.send(()).unwrap();
            assert!(std::mem::take(&mut is_start), "a defect");
            Ok(())
        });
        let watch = tokio::spawn(watch(vec![reload.unwrap()], ReloadMetrics::default()));
        fs::write(&file, "1").unwrap();
        // At the start, and then at every interval.
        for _ in 0..4 {
            applied.recv().await.unwrap();
        }
        watch.abort();
    }

    #[test]
    fn a_change_is_applied_once_and_tried_again_until_it_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "").unwrap();
        let applied = Arc::new(AtomicUsize::new(0));
        let reload = Reload::new(Kind::Token, vec![one.clone(), two.clone()], {
            let applied = Arc::clone(&applied);
            let two = two.clone();
            move || {
                applied.fetch_add(1, Ordering::Relaxed);
                fs::read(&two).map(drop).map_err(|error| error.to_string())
            }
        });
        let mut reload = reload.unwrap();
        let metrics = ReloadMetrics::default();
        let mut looks = |expected: [usize; 2], failed| {
            for expected in expected {
                reload.look(&metrics);
                assert_eq!(applied.load(Ordering::Relaxed), expected);
                assert_eq!(metrics.of(Kind::Token, "failed").get(), failed);
            }
        };
        looks([1, 1], 0);
        fs::write(&two, "1").unwrap();
        looks([2, 2], 0);
        // The same bytes, but not in the same file.
        fs::write(&one, "11").unwrap();
        fs::write(&two, "").unwrap();
        looks([3, 3], 0);
        fs::remove_file(&two).unwrap();
        looks([4, 5], 1);
        fs::write(&two, "").unwrap();
        // The files in force are back.
        looks([5, 5], 1);
        fs::write(&two, "2").unwrap();
        looks([6, 6], 1);
    }
}
