//! Files that are read again when they change: certificates, tokens, callers.
//!
//! They are looked at every second, by their content. Notifications from the file system
//! would be sooner, but miss what comes over a network or by a swapped symbolic link,
//! which is how Kubernetes changes the files of a Secret.

use std::{fs, mem, path::PathBuf, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use ring::digest::{Context, SHA256};
use tokio::{task::spawn_blocking, time::interval};
use zeroize::Zeroizing;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is read again.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The server's certificate and key, and the authorities of clients.
    Certificate,
    /// The token of an application.
    Token,
    /// The callers in the settings file.
    Callers,
}

/// What is read again, and whether that went well. Clones share it.
#[derive(Clone, Default)]
pub struct Metrics(Family<[(&'static str, &'static str); 2], Counter>);

/// The SHA-256 of what files hold.
type Fingerprint = [u8; 32];

/// Some files, and what to do when they change.
pub struct Reload {
    kind: Kind,
    files: Vec<PathBuf>,
    seen: Fingerprint,
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

impl Metrics {
    /// Registers them, all there from the start.
    pub fn register(&self, registry: &mut Registry) {
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
    /// Calls `apply` now, and whenever one of `files` changes. It reads them, and either
    /// puts something new in force or says what is wrong with it.
    ///
    /// # Errors
    ///
    /// If something is wrong with it now.
    pub fn new(
        kind: Kind,
        files: Vec<PathBuf>,
        mut apply: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> Result<Self, String> {
        // Before they are read, so that no change after that is missed.
        let seen = fingerprint(&files);
        apply()?;
        Ok(Self {
            kind,
            files,
            seen,
            apply: Box::new(apply),
        })
    }

    fn look(&mut self, metrics: &Metrics) {
        let seen = fingerprint(&self.files);
        if mem::replace(&mut self.seen, seen) == seen {
            return;
        }
        let (kind, files) = (self.kind.name(), &self.files);
        match (self.apply)() {
            Ok(()) => {
                metrics.of(self.kind, "ok").inc();
                tracing::info!(kind, ?files, "read again, and in force");
            }
            Err(error) => {
                metrics.of(self.kind, "failed").inc();
                tracing::error!(
                    kind,
                    ?files,
                    error,
                    "read again, but wrong: the old is in force"
                );
            }
        }
    }
}

/// Looks at the files for ever.
pub async fn watch(mut reloads: Vec<Reload>, metrics: Metrics) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        let looked = spawn_blocking(move || {
            for reload in &mut reloads {
                reload.look(&metrics);
            }
            reloads
        });
        match looked.await {
            Ok(back) => reloads = back,
            Err(error) => {
                return tracing::error!(%error, "files are looked at no longer: a defect");
            }
        }
    }
}

/// What tells the contents of files apart, without keeping them: they may be secret.
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
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn a_change_is_applied_once_whatever_becomes_of_it() {
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
        let metrics = Metrics::default();
        let mut looks = |expected, failed| {
            for _ in 0..2 {
                reload.look(&metrics);
                assert_eq!(applied.load(Ordering::Relaxed), expected);
                assert_eq!(metrics.of(Kind::Token, "failed").get(), failed);
            }
        };
        looks(1, 0);
        fs::write(&two, "1").unwrap();
        looks(2, 0);
        // The same bytes, but not in the same file.
        fs::write(&one, "11").unwrap();
        fs::write(&two, "").unwrap();
        looks(3, 0);
        fs::remove_file(&two).unwrap();
        looks(4, 1);
        fs::write(&two, "").unwrap();
        looks(5, 1);
    }
}
