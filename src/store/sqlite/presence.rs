//! Which processes have the file open.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{Flock, FlockType, fcntl_getlk},
};

/// For how long an answer holds: less than a process that comes waits before it reads.
const FRESH: Duration = Duration::from_millis(50);

/// A lock that all processes share which have the file open. It is of a file beside it: closing
/// a file takes all locks of it from a process, and those of the file itself are SQLite's.
pub(in crate::store) struct Presence {
    lock: File,
    /// When it was last asked whether this process is alone, and the answer.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl Presence {
    /// Tells the other processes of this one, for as long as the lock is kept.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(beside(file))?;
        fcntl_lock(&lock, FlockOperation::LockShared)?;
        Ok(Self {
            lock,
            asked: Mutex::default(),
        })
    }

    /// Whether no other process had the file open a moment ago: [`FRESH`].
    pub(in crate::store) fn was_alone(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, was_alone)) = *asked
            && when.elapsed() < FRESH
        {
            return was_alone;
        }
        let (now, is_alone) = (Instant::now(), self.is_alone());
        *asked = Some((now, is_alone));
        is_alone
    }

    /// Whether no other process has the file open.
    pub(super) fn is_alone(&self) -> bool {
        let all = Flock::from(FlockType::WriteLock);
        matches!(fcntl_getlk(&self.lock, &all), Ok(None))
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-servers");
    name.into()
}
