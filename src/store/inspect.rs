//! Looking at a store without making or changing anything.

use super::{Config, Location, OpenError, postgres, schema::Schema, sqlite};

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
