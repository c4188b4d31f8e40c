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
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        let mut statement = transaction.prepare_cached(step.sql)?;
        statement.execute([&step.rows])?;
    }
    transaction.commit()
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
