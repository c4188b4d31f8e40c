//! A connection that is made when it is needed.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::Connection;

use super::connect;

/// A connection to the file, which is let go of after a failure. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    file: Arc<Path>,
    /// For how long it waits, in the thread that uses it, for a file that is locked.
    patience: Duration,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Link {
    pub(super) fn new(file: &Path, patience: Duration) -> Self {
        Self {
            file: file.into(),
            patience,
            connection: Arc::default(),
        }
    }

    /// The file of a connection.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Uses the connection.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut connection = self.lock();
        let used = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(connect::connect(&self.file, self.patience)?),
        };
        let done = work(used);
        if done.as_ref().is_err_and(connect::may_be_broken) {
            *connection = None;
        }
        done
    }

    /// Lets go of the connection.
    pub(super) fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
