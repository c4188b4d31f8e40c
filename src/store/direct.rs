//! The directory of a database, for commands that do one thing and end. A server may be
//! running meanwhile.

use sqlx::PgPool;

use super::{
    Config, Location, OpenError,
    database::{Database as _, Failure},
    directory::{
        Backend, Conflict, ExistingUser, Fetch, POSTGRES_STATEMENTS, Row, SQLITE_STATEMENTS,
        Statements, Step, conflicts_of, existing_fetch, existing_steps, forget_steps,
    },
    postgres, sqlite,
};

/// The directory of a database that is open.
pub struct DirectDirectory {
    database: Open,
    statements: &'static Statements,
}

enum Open {
    Sqlite(Box<(sqlite::Sqlite, sqlite::Directory)>),
    Postgres(PgPool, postgres::Directory),
}

impl DirectDirectory {
    /// Opens the database of a store, after its schema was brought up to date.
    ///
    /// # Errors
    ///
    /// As [`open`](super::open), and if the store is in memory.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        match &config.location {
            Location::Memory => Err(OpenError::Failed("memory has no directory".into())),
            Location::Sqlite(file) => {
                let file = sqlite::open(file, config).await?;
                let directory = sqlite::Directory::new(file.clone());
                Ok(Self {
                    database: Open::Sqlite(Box::new((file, directory))),
                    statements: &SQLITE_STATEMENTS,
                })
            }
            Location::Postgres(url) => {
                let pool = postgres::open(url, config).await?;
                let directory = postgres::Directory::new(&pool, config.timeout);
                Ok(Self {
                    database: Open::Postgres(pool, directory),
                    statements: &POSTGRES_STATEMENTS,
                })
            }
        }
    }

    /// Forgets a user of an app, with its places in groups: for what Mesibo no longer has.
    ///
    /// # Errors
    ///
    /// If the database refuses, or does not answer within its time limit.
    pub async fn forget(&self, app: &str, address: &str) -> Result<(), OpenError> {
        self.run(&forget_steps(self.statements, app, address)).await
    }

    /// Adds users whom Mesibo had before, and gives those whom the directory has otherwise:
    /// these stay as they are. No uid and no address may be there twice.
    ///
    /// If Mesibo has just been asked, entries that a list of Mesibo's brought by, and that
    /// nothing has confirmed yet, are confirmed.
    ///
    /// # Errors
    ///
    /// As [`Self::forget`]. Some of the users may have been added then; all may be added
    /// again.
    pub async fn add_existing(
        &self,
        app: &str,
        users: &[ExistingUser],
        is_verified: bool,
    ) -> Result<Vec<Conflict>, OpenError> {
        let steps = existing_steps(self.statements, app, users, is_verified);
        self.run(&steps).await?;
        let rows = self
            .fetch(existing_fetch(self.statements, app, users))
            .await?;
        Ok(conflicts_of(rows))
    }

    /// Closes the database.
    pub async fn close(self) {
        match self.database {
            Open::Sqlite(open) => open.0.close().await,
            Open::Postgres(pool, _) => pool.close().await,
        }
    }

    async fn run(&self, steps: &[Step]) -> Result<(), OpenError> {
        let result = match &self.database {
            Open::Sqlite(open) => open.1.run(steps).await,
            Open::Postgres(_, directory) => directory.run(steps).await,
        };
        result.map_err(failed)
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Vec<Row>, OpenError> {
        let result = match &self.database {
            Open::Sqlite(open) => open.1.fetch(fetch).await,
            Open::Postgres(_, directory) => directory.fetch(fetch).await,
        };
        result.map_err(failed)
    }
}

fn failed(failure: Failure) -> OpenError {
    if failure.is_transient {
        OpenError::Unreachable(failure.cause.into())
    } else {
        OpenError::Failed(failure.cause.into())
    }
}
