//! Connecting to the file, and reading SQLite's errors.

use std::{
    path::{self, Path},
    time::Duration,
};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use tokio::time::{Instant, sleep};

use crate::store::{OpenError, database::Failure};

/// The pause before a file that is locked is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// How many pages the write-ahead log may have before a commit moves them into the file by
/// itself.
const MAX_LOG_PAGES: u32 = 16_000;

/// How large the write-ahead log stays once it has been larger.
const MAX_LOG_BYTES: u32 = 64 << 20;

/// How many statements a connection keeps prepared.
const MAX_PREPARED: usize = 64;

/// Connects to a file that exists, for reads and durable commits. `patience` is for how long
/// the connection waits, in the thread that uses it, for a file that is locked.
pub(super) fn connect(file: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = bare(file, patience)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA journal_size_limit = {MAX_LOG_BYTES};
        PRAGMA wal_autocheckpoint = {MAX_LOG_PAGES}"
    ))?;
    connection.set_prepared_statement_cache_capacity(MAX_PREPARED);
    Ok(connection)
}

/// A connection that changes nothing about the file.
pub(super) fn bare(file: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    // A relative path could begin as a URI does.
    let file = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(patience)?;
    Ok(connection)
}

/// Tries for as long as another process has the file locked, and this time has not passed.
/// SQLite would block the thread meanwhile.
pub(super) async fn unlocked<T>(
    timeout: Duration,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let until = Instant::now() + timeout;
    loop {
        match attempt() {
            Err(error) if is_locked(&error) && Instant::now() < until => sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// What an error means while the file is being opened.
pub(super) fn refused(error: &Error) -> OpenError {
    let text = error.to_string();
    if is_locked(error) {
        return OpenError::Unreachable(text);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly,
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::AuthorizationForStatementDenied,
        ) => OpenError::Denied(text),
        _ => OpenError::Failed(text),
    }
}

/// What an error means later on.
pub(super) fn failure(error: &Error) -> Failure {
    Failure {
        is_transient: is_locked(error),
        is_of_data: is_of_constraint(error)
            || matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::TooBig | ErrorCode::TypeMismatch)
            ),
        cause: error.to_string().into(),
    }
}

/// Whether a row violates a constraint.
pub(super) fn is_of_constraint(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Whether another process, or another connection, is writing.
fn is_locked(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether an error may be the connection's, and pass with another one.
pub(super) fn may_be_broken(error: &Error) -> bool {
    !is_locked(error) && error.sqlite_error_code() != Some(ErrorCode::DiskFull)
}
