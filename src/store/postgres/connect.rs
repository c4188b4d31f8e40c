//! Opening the database, and reading PostgreSQL's errors.

use std::{str::FromStr as _, time::Duration};

use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Executor as _, PgConnection,
    error::ErrorKind,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode},
};
use tokio::time::{Instant, sleep, timeout};
use url::{Host, Url};

use crate::store::{
    Config, OpenError, Schema,
    config::is_local,
    database::Failure,
    schema::{self, State},
};

/// In order. One that was released is never changed: databases remember its checksum.
const MIGRATIONS: [(&str, &str); 2] = [
    (
        "claims",
        include_str!("../migrations/postgres/0001_claims.sql"),
    ),
    (
        "directory",
        include_str!("../migrations/postgres/0002_directory.sql"),
    ),
];

/// How long a migration, and the wait for another process's, may take.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(5);

/// Opens the database, and brings its schema up to date.
pub(in crate::store) async fn open(url: &Url, config: &Config) -> Result<PgPool, OpenError> {
    check_connections(config)?;
    let options = options(url, config).map_err(|error| refused(&error))?;
    let mut connection = first(&options, config.open_timeout()).await?;
    let migrated = timeout(MIGRATION_TIMEOUT, migrate(&mut connection)).await;
    migrated.unwrap_or_else(|_| {
        Err(OpenError::Unreachable(
            "its schema's migration took too long".into(),
        ))
    })?;
    check(&mut connection).await?;
    let _ = connection.close().await;
    Ok(pool(options, config))
}

/// Looks at the schema of the database, and whether it can be migrated or written, without
/// changing it.
pub(in crate::store) async fn inspect(url: &Url, config: &Config) -> Result<Schema, OpenError> {
    check_connections(config)?;
    let options = options(url, config).map_err(|error| refused(&error))?;
    let mut connection = first(&options, config.timeout).await?;
    let applied = applied(&mut connection).await;
    let applied = applied.map_err(|error| refused(&error))?;
    let schema = schema::found(applied, &schema::migrator(&MIGRATIONS))?;
    match schema {
        Schema::Current => check(&mut connection).await?,
        Schema::Missing | Schema::Older => check_migration(&mut connection).await?,
    }
    let _ = connection.close().await;
    Ok(schema)
}

/// Whether the schema can be changed.
async fn check_migration(connection: &mut PgConnection) -> Result<(), OpenError> {
    let (is_read_only, is_allowed): (bool, bool) = sqlx::query_as(
        "SELECT current_setting('transaction_read_only')::bool,
            coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| refused(&error))?;
    if is_read_only {
        return Err(OpenError::ReadOnly);
    }
    if !is_allowed {
        let needed = "the user needs CREATE on the schema, or another user runs mesibo-grpc \
                      store migrate";
        return Err(OpenError::Denied(needed.into()));
    }
    Ok(())
}

fn check_connections(config: &Config) -> Result<(), OpenError> {
    if config.max_connections < 4 {
        return Err(OpenError::Failed("it needs at least 4 connections".into()));
    }
    Ok(())
}

fn options(url: &Url, config: &Config) -> sqlx::Result<PgConnectOptions> {
    let mut options = PgConnectOptions::from_str(url.as_str())?
        .application_name("mesibo-grpc")
        .ssl_mode(match &config.ca_file {
            None if config.allow_plaintext || is_local(url) => PgSslMode::Prefer,
            _ => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    if let Some(Host::Ipv6(address)) = url.host() {
        options = options.host(&address.to_string());
    }
    if let Some(password) = &config.password {
        options = options.password(password.expose_secret());
    }
    if let Some(file) = &config.ca_file {
        options = options.ssl_root_cert(file);
    }
    Ok(options)
}

/// The first connection, as soon as there is one.
async fn first(options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, OpenError> {
    let deadline = Instant::now() + limit;
    loop {
        let error = match tokio::time::timeout_at(deadline, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => refused(&error),
            Err(_) => OpenError::Unreachable("it did not answer in time".into()),
        };
        let is_late = Instant::now() + Duration::from_millis(200) >= deadline;
        if is_late || !matches!(error, OpenError::Unreachable(_)) {
            return Err(error);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    let migrator = schema::migrator(&MIGRATIONS);
    let applied = applied(connection).await.map_err(|error| refused(&error))?;
    // Without a change there is no need for the right to make one.
    if schema::state(applied, &migrator)? == State::Outdated {
        run(&migrator, connection).await?;
    }
    Ok(())
}

async fn applied(connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    let has_table: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
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

/// Under an advisory lock, which ends with the connection if this fails.
async fn run(migrator: &Migrator, connection: &mut PgConnection) -> Result<(), OpenError> {
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                refused(&error)
            }
            error => OpenError::Failed(error.to_string()),
        })
}

/// Whether rows can be written.
async fn check(connection: &mut PgConnection) -> Result<(), OpenError> {
    let (is_read_only, is_allowed): (bool, bool) = sqlx::query_as(
        "SELECT current_setting('transaction_read_only')::bool,
            bool_and(has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
                AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
        FROM unnest(ARRAY['claims', 'directory_users', 'directory_groups', 'directory_members',
            'directory_turns']) AS name",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| refused(&error))?;
    if is_read_only {
        return Err(OpenError::ReadOnly);
    }
    if !is_allowed {
        let needed = "the user needs SELECT, INSERT, UPDATE and DELETE on the tables claims, \
                      directory_users, directory_groups, directory_members and directory_turns";
        return Err(OpenError::Denied(needed.into()));
    }
    Ok(())
}

fn pool(options: PgConnectOptions, config: &Config) -> PgPool {
    let prepare = format!(
        "SET default_transaction_isolation = 'read committed';
         SET statement_timeout = {};
         SET enable_seqscan = off;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        config.timeout.as_millis().max(1)
    );
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            // A plan that was made while the table was empty would read all of it later.
            let prepare = AssertSqlSafe(prepare.clone());
            Box::pin(async move { connection.execute(sqlx::raw_sql(prepare)).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// What an error means while the database is being opened.
fn refused(error: &Error) -> OpenError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    let text = error.to_string();
    match code.as_deref() {
        Some("25006") => OpenError::ReadOnly,
        Some(code) if code.starts_with("28") || code == "42501" => OpenError::Denied(text),
        Some(code) if is_transient(code) => OpenError::Unreachable(text),
        None if matches!(error, Error::Io(_)) => OpenError::Unreachable(text),
        _ => OpenError::Failed(text),
    }
}

/// What an error means later on.
pub(super) fn failure(error: &Error) -> Failure {
    // What has no code is the connection's, and passes.
    let transient = match error {
        Error::Database(refused) => refused.code().is_some_and(|code| is_transient(&code)),
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => true,
        _ => false,
    };
    let is_of_data = match error {
        Error::Database(refused) => {
            !matches!(refused.kind(), ErrorKind::Other)
                || refused.code().is_some_and(|code| is_of_data(&code))
        }
        Error::Encode(_) => true,
        _ => false,
    };
    Failure {
        is_transient: transient,
        is_of_data,
        cause: error.to_string().into(),
    }
}

/// By SQLSTATE: data exceptions, and limits of the program.
fn is_of_data(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("54")
}

/// By SQLSTATE: lost connections, too few resources, an operator's interventions and
/// time limits, serialization failures and deadlocks, and a primary that has become a
/// standby. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_transient(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    match code {
        // A full disk stays full.
        "53100" => false,
        "40001" | "40003" | "40P01" | "55P03" | "25006" => true,
        _ => matches!(class, "08" | "53" | "57"),
    }
}
