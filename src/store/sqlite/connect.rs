//! Opening the file, and reading SQLite's errors.

use std::{
    fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc, time::Duration,
};

use rustix::fs::{Access, access};

use sqlx::{
    ConnectOptions as _, Connection as _, Error, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{Scopes, Sqlite};
use crate::store::{
    Config, OpenError, Schema,
    database::Failure,
    schema::{self, State},
};

/// In order. One that was released is never changed: databases remember its checksum.
const MIGRATIONS: [(&str, &str); 2] = [
    (
        "claims",
        include_str!("../migrations/sqlite/0001_claims.sql"),
    ),
    (
        "directory",
        include_str!("../migrations/sqlite/0002_directory.sql"),
    ),
];

/// The pause before a file that is locked is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// How many pages the write-ahead log may have before a commit moves them into the file by
/// itself.
const MAX_LOG_PAGES: &str = "16000";

/// How large the write-ahead log stays once it has been larger.
const MAX_LOG_BYTES: &str = "67108864";

/// How many statements a connection keeps prepared. A transaction of the directory is one with
/// several parts, of some 15 KiB each.
const MAX_PREPARED: usize = 32;

/// Opens the file, or creates it, and brings its schema up to date. A file that is locked is
/// waited for: another process may be at the same, and SQLite itself does not wait where both
/// make a new file one with a write-ahead log.
pub(in crate::store) async fn open(file: &Path, config: &Config) -> Result<Sqlite, OpenError> {
    let until = Instant::now() + config.open_timeout();
    loop {
        match open_now(file, config).await {
            Err(OpenError::Unreachable(_)) if Instant::now() < until => sleep(PAUSE).await,
            opened => return opened,
        }
    }
}

async fn open_now(file: &Path, config: &Config) -> Result<Sqlite, OpenError> {
    create(file)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(config.timeout)
        .pragma("journal_size_limit", MAX_LOG_BYTES)
        .pragma("wal_autocheckpoint", MAX_LOG_PAGES)
        .statement_cache_capacity(MAX_PREPARED)
        .disable_statement_logging();
    let mut connection = again(&options).await.map_err(|error| refused(&error))?;
    check_journal(&mut connection)
        .await
        .map_err(|error| refused(&error))?;
    migrate(&mut connection).await?;
    Ok(Sqlite {
        connection: Arc::new(Mutex::new(Some(connection))),
        options,
        retention_ms: i64::try_from(config.retention.as_millis()).unwrap_or(i64::MAX / 2),
        scopes: Scopes::default(),
        written: Arc::default(),
    })
}

/// Looks at the schema of a file, and whether it can be written, without changing it.
pub(in crate::store) async fn inspect(file: &Path, config: &Config) -> Result<Schema, OpenError> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    // The write-ahead log is beside the file.
    may_write(folder)?;
    if !file.exists() {
        return Ok(Schema::Missing);
    }
    may_write(file)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(config.timeout)
        .disable_statement_logging();
    let mut connection = again(&options).await.map_err(|error| refused(&error))?;
    let applied = applied(&mut connection).await;
    let applied = applied.map_err(|error| refused(&error))?;
    let _ = connection.close().await;
    schema::found(applied, &schema::migrator(&MIGRATIONS))
}

fn may_write(path: &Path) -> Result<(), OpenError> {
    access(path, Access::WRITE_OK)
        .map_err(|error| OpenError::Denied(format!("{}: {error}", path.display())))
}

/// Connects to a file that exists.
pub(super) async fn again(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    options.connect().await
}

/// Creates the file for its owner alone: it holds names of callers, and answers.
fn create(file: &Path) -> Result<(), OpenError> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match created {
        Ok(_) => Ok(()),
        Err(_) if file.exists() => Ok(()),
        Err(error) => Err(OpenError::Denied(format!("{}: {error}", file.display()))),
    }
}

/// Without a write-ahead log, readers would block writers.
async fn check_journal(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(connection)
        .await?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::Configuration(
        "its file system does not allow a write-ahead log".into(),
    ))
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let migrator = schema::migrator(&MIGRATIONS);
    // The lock that every writer takes is the lock of the migration.
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(|error| refused(&error))?;
    let applied = applied(&mut transaction)
        .await
        .map_err(|error| refused(&error))?;
    if schema::state(applied, &migrator)? == State::Outdated {
        run(&migrator, &mut transaction).await?;
    }
    transaction.commit().await.map_err(|error| refused(&error))
}

async fn applied(connection: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    let has_table: bool =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")
            .bind(schema::TABLE)
            .fetch_one(&mut *connection)
            .await?;
    if !has_table {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM mesibo_grpc_migrations")
        .fetch_one(connection)
        .await
}

async fn run(migrator: &Migrator, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| schema::failed(error, refused))
}

/// What an error means while the file is being opened.
fn refused(error: &Error) -> OpenError {
    let text = error.to_string();
    match primary_code(error) {
        Some(5 | 6) => OpenError::Unreachable(text),
        Some(8) => OpenError::ReadOnly,
        Some(3 | 14 | 23) => OpenError::Denied(text),
        _ => OpenError::Failed(text),
    }
}

/// What an error means later on.
pub(super) fn failure(error: &Error) -> Failure {
    Failure::from_driver(error, |code| matches!(primary(code), Some(5 | 6)))
}

/// Whether there is no space left: nothing is wrong with the connection.
pub(super) fn is_full(error: &Error) -> bool {
    primary_code(error) == Some(13)
}

fn primary_code(error: &Error) -> Option<i32> {
    primary(&error.as_database_error()?.code()?)
}

/// The primary code in an extended one, <https://sqlite.org/rescode.html>: 3 PERM, 5 BUSY,
/// 6 LOCKED, 8 READONLY, 13 FULL, 14 CANTOPEN, 23 AUTH.
fn primary(code: &str) -> Option<i32> {
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
