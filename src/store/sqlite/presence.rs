//! Which processes have the file open.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{Flock, FlockType, fcntl_getlk},
};

/// A lock that all processes share which have the file open. It is of a file beside it: closing
/// a file takes all locks of it from a process, and those of the file itself are SQLite's.
pub(in crate::store) struct Presence(File);

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
        Ok(Self(lock))
    }

    /// Whether no other process has the file open. One that comes later waits before it reads.
    pub(in crate::store) fn is_alone(&self) -> bool {
        let all = Flock::from(FlockType::WriteLock);
        matches!(fcntl_getlk(&self.0, &all), Ok(None))
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-servers");
    name.into()
}
