//! The directory in the file.

use std::{iter, sync::Arc};

use sqlx::{AssertSqlSafe, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::Mutex;

use super::{Sqlite, connect};
use crate::store::{
    database::Failure,
    directory::{Backend, Bind, Columns, Fetch, Row, Step},
};

/// The directory, which writes through the one connection that writes, and reads through one
/// of its own.
pub(in crate::store) struct Directory {
    writer: Sqlite,
    reader: Arc<Mutex<Option<SqliteConnection>>>,
    options: SqliteConnectOptions,
}

impl Directory {
    pub(in crate::store) fn new(writer: Sqlite) -> Self {
        Self {
            options: writer.options.clone(),
            writer,
            reader: Arc::default(),
        }
    }

    /// Carries out steps as one command, for each command is two changes of threads.
    async fn transaction(&self, steps: &[Step]) -> sqlx::Result<()> {
        let mut writer = self.writer.connection().await?;
        // What goes away within a transaction does not leave its connection to others.
        let mut connection = writer.take().expect("it was just connected");
        let statements = steps.iter().map(|step| step.sql);
        let statements = iter::once("BEGIN IMMEDIATE")
            .chain(statements)
            .chain(["COMMIT"]);
        let sql = statements.collect::<Vec<_>>().join(";\n");
        let query = steps
            .iter()
            .fold(sqlx::query(AssertSqlSafe(sql)), |query, step| {
                query.bind(&step.rows)
            });
        let done = query.execute(&mut connection).await;
        if done.is_err() {
            // After some errors SQLite has done so, and after others there is nothing to undo.
            let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
        }
        *writer = Some(connection);
        done?;
        self.writer.written.notify_one();
        Ok(())
    }

    async fn rows(&self, fetch: &Fetch) -> sqlx::Result<Vec<Row>> {
        if fetch.writes {
            let mut connection = self.writer.connection().await?;
            return read(connection.as_mut().expect("it was just connected"), fetch).await;
        }
        // A connection that fails, or that a read which went away was using, is not put back.
        let mut reader = self.reader.lock().await;
        let mut connection = match reader.take() {
            Some(connection) => connection,
            None => connect::again(&self.options).await?,
        };
        let rows = read(&mut connection, fetch).await?;
        *reader = Some(connection);
        Ok(rows)
    }
}

async fn read(from: &mut SqliteConnection, fetch: &Fetch) -> sqlx::Result<Vec<Row>> {
    let mut query = sqlx::query_as::<_, Columns>(fetch.sql);
    for bind in &fetch.binds {
        query = match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Number(number) => query.bind(number),
        };
    }
    let rows = query.fetch_all(from).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

impl Backend for Directory {
    async fn run(&self, steps: &[Step]) -> Result<(), Failure> {
        match self.transaction(steps).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.writer.failed(&error).await),
        }
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Row>, Failure> {
        self.rows(fetch)
            .await
            .map_err(|error| connect::failure(&error))
    }
}
