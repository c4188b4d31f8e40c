//! Looking at a store without making or changing anything.

use super::{Config, Location, OpenError, postgres, sqlite};

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

/// Looks at the schema of a store, and whether rows can be written. A server that does not
/// answer is waited for, for the time limit of a claim.
///
/// # Errors
///
/// As `open`.
pub async fn inspect(config: &Config) -> Result<Schema, OpenError> {
    match &config.location {
        Location::Memory => Ok(Schema::Current),
        Location::Sqlite(file) => sqlite::inspect(file, config).await,
        Location::Postgres(url) => postgres::inspect(url, config).await,
    }
}
