//! A PostgreSQL server of the test's own, and the databases in it.

use sqlx::{
    ConnectOptions as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::store::{Config, Location};

// The fixture of the tests over real sockets, in which `pub` means "for the tests".
#[path = "../../../tests/it/support/postgres.rs"]
#[allow(unreachable_pub)]
mod process;

pub(super) use self::process::PASSWORD;

/// A server that ends when it is dropped.
pub(super) struct Server(process::Postgres);

impl Server {
    /// `None`, with a word about it, if PostgreSQL is not installed and not required.
    pub(super) fn start() -> Option<Self> {
        process::Postgres::start().map(Self)
    }

    /// Starts the server again.
    pub(super) fn resume(&self) {
        self.0.resume();
    }

    /// Ends the server as a crash would.
    pub(super) fn crash(&self) {
        self.0.crash();
    }

    /// A new database, and how to open it.
    pub(super) async fn database(&self, name: &'static str) -> Config {
        let create = format!("CREATE DATABASE {name}");
        self.execute("postgres", &create).await;
        self.config(name)
    }

    pub(super) fn config(&self, name: &str) -> Config {
        Config {
            password: Some(PASSWORD.into()),
            ..Config::new(self.0.url(name).parse::<Location>().unwrap())
        }
    }

    /// A connection to a database.
    pub(super) async fn connect(&self, database: &str) -> PgConnection {
        self.options(database).connect().await.unwrap()
    }

    /// Connections to a database, made when they are needed.
    pub(super) fn pool(&self, database: &str) -> PgPool {
        PgPoolOptions::new().connect_lazy_with(self.options(database))
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        let options: PgConnectOptions = self.0.url(database).parse().unwrap();
        options.password(PASSWORD)
    }

    pub(super) async fn execute(&self, database: &str, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let mut connection = self.connect(database).await;
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    }
}
