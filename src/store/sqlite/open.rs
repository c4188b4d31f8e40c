//! Opening the file, and its schema.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use rustix::fs::{Access, access};
use sqlx::migrate::{MigrateError, Migrator};
use tokio::time::sleep;

use super::{
    Sqlite,
    connect::{bare, refused, unlocked},
    presence::Presence,
};
use crate::store::{
    Config, OpenError, Schema,
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

/// The columns are those of sqlx, as in PostgreSQL.
const MIGRATIONS_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS mesibo_grpc_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    )";

/// How long a process that comes to others waits: until they have written what calls have not
/// waited for, as they may while they are alone.
const ARRIVAL: Duration = Duration::from_millis(200);

/// Opens the file, or creates it, and brings its schema up to date. A file that is locked is
/// waited for: another process may be at the same.
pub(in crate::store) async fn open(file: &Path, config: &Config) -> Result<Sqlite, OpenError> {
    let denied = |error: io::Error| OpenError::Denied(format!("{}: {error}", file.display()));
    create(file).map_err(denied)?;
    let presence = Presence::of(file).map_err(denied)?;
    if !presence.is_alone() {
        sleep(ARRIVAL).await;
    }
    let sqlite = Sqlite::new(file, config, presence);
    let migrated = unlocked(config.open_timeout(), || sqlite.writer.with(migrate)).await;
    migrated.map_err(|error| refused(&error))??;
    Ok(sqlite)
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
    let applied = unlocked(config.timeout, || applied(&bare(file, Duration::ZERO)?)).await;
    let applied = applied.map_err(|error| refused(&error))?;
    schema::found(applied, &schema::migrator(&MIGRATIONS))
}

fn may_write(path: &Path) -> Result<(), OpenError> {
    access(path, Access::WRITE_OK)
        .map_err(|error| OpenError::Denied(format!("{}: {error}", path.display())))
}

/// Creates the file for its owner alone: it holds names of callers, and answers.
fn create(file: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match created {
        Ok(_) => Ok(()),
        Err(_) if file.exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Brings the schema up to date. SQLite's errors are apart from what is wrong with the file.
fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), OpenError>> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        // Readers would block writers.
        let error = "its file system does not allow a write-ahead log";
        return Ok(Err(OpenError::Failed(error.into())));
    }
    let migrator = schema::migrator(&MIGRATIONS);
    // The lock that every writer takes is the lock of the migration.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let migrated = match schema::state(applied(&transaction)?, &migrator) {
        Ok(State::Outdated) => run(&migrator, &transaction)?,
        state => state.map(drop),
    };
    if migrated.is_ok() {
        transaction.commit()?;
    }
    Ok(migrated)
}

fn applied(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let has_table: bool = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
        [schema::TABLE],
        |row| row.get(0),
    )?;
    if !has_table {
        return Ok(None);
    }
    let newest = "SELECT max(version) FROM mesibo_grpc_migrations";
    connection.query_row(newest, [], |row| row.get(0))
}

fn run(migrator: &Migrator, connection: &Connection) -> rusqlite::Result<Result<(), OpenError>> {
    connection.execute_batch(MIGRATIONS_TABLE)?;
    for migration in migrator.iter() {
        let version = migration.version;
        let applied: Option<Vec<u8>> = connection
            .query_row(
                "SELECT checksum FROM mesibo_grpc_migrations WHERE version = ?1",
                [version],
                |row| row.get(0),
            )
            .optional()?;
        match applied {
            Some(checksum) if *checksum == *migration.checksum => {}
            Some(_) => {
                let error = MigrateError::VersionMismatch(version);
                return Ok(Err(OpenError::Failed(error.to_string())));
            }
            None => {
                connection.execute_batch(migration.sql.as_str())?;
                connection.execute(
                    "INSERT INTO mesibo_grpc_migrations
                        (version, description, success, checksum, execution_time)
                    VALUES (?1, ?2, TRUE, ?3, -1)",
                    params![version, migration.description, migration.checksum.as_ref()],
                )?;
            }
        }
    }
    Ok(Ok(()))
}
