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

/// A lock, shared by all processes that have the file open, of a file beside it: to close a
/// file twice opened would take SQLite's own locks away.
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

    /// Whether no other process has the file open. What another one that comes now reads may
    /// be what this one has written before.
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
