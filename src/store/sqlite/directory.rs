//! The directory in the file.

use rusqlite::{Connection, ToSql, TransactionBehavior, params_from_iter, types::ToSqlOutput};
use tokio::task::spawn_blocking;

use super::{Sqlite, connect, link::Link};
use crate::store::{
    database::Failure,
    directory::{Backend, Bind, Columns, Fetch, Row, Step},
};

/// The directory, which writes through the one connection that writes, and reads through one
/// of its own, in another thread: a page may have to come from the disk.
pub(in crate::store) struct Directory {
    writer: Sqlite,
    reader: Link,
}

impl Directory {
    pub(in crate::store) fn new(writer: Sqlite) -> Self {
        Self {
            reader: Link::new(writer.writer.file(), writer.timeout),
            writer,
        }
    }
}

impl Backend for Directory {
    async fn run(&self, steps: &[Step]) -> Result<(), Failure> {
        self.writer
            .with(|connection| run(connection, steps))
            .await?;
        self.writer.written.notify_one();
        Ok(())
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Vec<Row>, Failure> {
        if fetch.writes {
            return self
                .writer
                .with(|connection| read(connection, &fetch))
                .await;
        }
        let reader = self.reader.clone();
        let rows = spawn_blocking(move || reader.with(|connection| read(connection, &fetch)));
        match rows.await {
            Ok(rows) => rows.map_err(|error| connect::failure(&error)),
            Err(error) => Err(Failure::transient(error.to_string())),
        }
    }
}

fn run(connection: &mut Connection, steps: &[Step]) -> rusqlite::Result<()> {
    // A statement is a transaction by itself.
    if let [step] = steps
        && step.before.is_empty()
    {
        return execute(connection, step.sql, &step.rows);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        carry_out(&transaction, step)?;
    }
    transaction.commit()
}

fn carry_out(connection: &Connection, step: &Step) -> rusqlite::Result<()> {
    match execute(connection, step.sql, &step.rows) {
        // What comes before is seldom needed.
        Err(error) if connect::is_of_constraint(&error) && !step.before.is_empty() => {}
        done => return done,
    }
    for sql in step.before {
        execute(connection, sql, &step.rows)?;
    }
    execute(connection, step.sql, &step.rows)
}

fn execute(connection: &Connection, sql: &str, rows: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute([rows]).map(drop)
}

fn read(connection: &Connection, fetch: &Fetch) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(fetch.sql)?;
    let rows = statement.query_map(params_from_iter(&fetch.binds), |row| {
        Columns::try_from(row).map(Row::from)
    })?;
    rows.collect()
}

impl ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Number(number) => number.to_sql(),
        }
    }
}
