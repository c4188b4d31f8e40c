//! Whether a schema is the one that this program knows, and bringing it up to date.

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::error::OpenError;

/// Holds which migrations were applied. Its name keeps it apart from those of other
/// programs in the same database.
pub(super) const TABLE: &str = "mesibo_grpc_migrations";

/// The schema of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There is none yet, as in a file that does not exist, which can be made.
    Missing,
    /// It is older than this program, and can be migrated.
    Older,
    /// It is the one that this program knows.
    Current,
}

/// What to do about a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    UpToDate,
    Outdated,
}

/// Migrations in order, from version 1 on.
pub(super) fn migrator(migrations: &[(&'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().zip(1..).map(|((name, sql), version)| {
        let sql = sql.into_sql_str();
        Migration::new(version, (*name).into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

/// Compares the newest version that was applied, if any was, with what is known.
pub(super) fn state(applied: Option<i64>, migrator: &Migrator) -> Result<State, OpenError> {
    let known = migrator.iter().map(|migration| migration.version).max();
    let known = known.unwrap_or(0);
    match applied {
        Some(found) if found > known => Err(OpenError::NewerSchema { found, known }),
        Some(found) if found == known => Ok(State::UpToDate),
        _ => Ok(State::Outdated),
    }
}

/// What an inspection finds, if a migration can be run.
pub(super) fn found(applied: Option<i64>, migrator: &Migrator) -> Result<Schema, OpenError> {
    Ok(match (state(applied, migrator)?, applied) {
        (State::UpToDate, _) => Schema::Current,
        (State::Outdated, Some(_)) => Schema::Older,
        (State::Outdated, None) => Schema::Missing,
    })
}
