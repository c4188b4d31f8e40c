//! Claims in a file on this machine.

mod connect;
mod directory;
mod sql;

use std::sync::Arc;

use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub(super) use self::{
    connect::{inspect, open},
    directory::Directory,
};
use super::{
    Key,
    database::{Answers, Batch, Database, Failure, SWEEP_BATCH, Seen, Sweep},
};

/// The file, through the one connection that writes. Whoever locks it first writes first,
/// so that neither claims nor sweeps starve.
#[derive(Clone)]
pub(super) struct Sqlite {
    connection: Arc<Mutex<Option<SqliteConnection>>>,
    options: SqliteConnectOptions,
    retention_ms: i64,
}

impl Sqlite {
    async fn transaction(&mut self, batch: &Batch<'_>) -> sqlx::Result<(Vec<Seen>, Vec<bool>)> {
        let mut connection = self.connection().await?;
        let connection = connection.as_mut().expect("it was just connected");
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let settled = settle(&mut transaction, batch).await?;
        let seen = claim(&mut transaction, batch).await?;
        transaction.commit().await?;
        Ok((seen, settled))
    }

    pub(in crate::store) async fn connection(
        &self,
    ) -> sqlx::Result<MutexGuard<'_, Option<SqliteConnection>>> {
        let mut connection = self.connection.lock().await;
        if connection.is_none() {
            *connection = Some(connect::again(&self.options).await?);
        }
        Ok(connection)
    }

    async fn failed(&self, error: &sqlx::Error) -> Failure {
        let failure = connect::failure(error);
        if !failure.is_transient && !connect::is_full(error) {
            self.connection.lock().await.take();
        }
        failure
    }
}

impl Database for Sqlite {
    async fn write(&mut self, batch: &Batch<'_>) -> Answers {
        match self.transaction(batch).await {
            Ok((seen, settled)) => Answers {
                seen: Ok(seen),
                settled: Ok(settled),
            },
            Err(error) => {
                let failure = self.failed(&error).await;
                Answers {
                    seen: Err(failure.clone()),
                    settled: Err(failure),
                }
            }
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection.lock().await.take() {
            let _ = connection.close().await;
        }
    }
}

impl Sweep for Sqlite {
    async fn sweep(&mut self) -> Result<u64, Failure> {
        let deleted = async {
            let mut connection = self.connection().await?;
            let deleted = sqlx::query(sql::SWEEP)
                .bind(SWEEP_BATCH)
                .bind(self.retention_ms)
                .execute(connection.as_mut().expect("it was just connected"))
                .await?;
            Ok(deleted.rows_affected())
        };
        match deleted.await {
            Ok(deleted) => Ok(deleted),
            Err(error) => Err(self.failed(&error).await),
        }
    }

    async fn rows(&mut self) -> Result<u64, Failure> {
        let rows = async {
            let mut connection = self.connection().await?;
            sqlx::query_scalar(sql::ROWS)
                .fetch_one(connection.as_mut().expect("it was just connected"))
                .await
        };
        match rows.await {
            Ok(rows) => Ok(i64::cast_unsigned(rows)),
            Err(error) => Err(self.failed(&error).await),
        }
    }
}

async fn settle(to: &mut SqliteConnection, batch: &Batch<'_>) -> sqlx::Result<Vec<bool>> {
    let n = batch.settlements.len();
    let (kept, released): (Vec<_>, Vec<_>) = batch
        .settlements
        .iter()
        .partition(|settlement| settlement.outcome.is_some());
    let mut written = 0;
    for (settlements, statement) in [(kept, sql::SETTLE), (released, sql::RELEASE)] {
        if !settlements.is_empty() {
            let rows = sql::settlements(&settlements);
            let result = sqlx::query(statement).bind(rows).execute(&mut *to).await?;
            written += result.rows_affected();
        }
    }
    if written == n as u64 {
        return Ok(vec![true; n]);
    }
    let keys = batch
        .settlements
        .iter()
        .map(|settlement| &settlement.claim.key);
    let seen = look(to, &keys.collect::<Vec<_>>()).await?;
    let pairs = seen.iter().zip(&batch.settlements);
    Ok(pairs
        .map(|(seen, settlement)| seen.has(settlement))
        .collect())
}

async fn claim(to: &mut SqliteConnection, batch: &Batch<'_>) -> sqlx::Result<Vec<Seen>> {
    if !batch.claims.is_empty() {
        let rows = sql::claims(&batch.claims);
        let result = sqlx::query(sql::CLAIM).bind(rows).execute(&mut *to).await?;
        if batch.looks.is_empty() && result.rows_affected() == batch.claims.len() as u64 {
            return Ok(batch.all_won());
        }
    }
    let keys: Vec<&Key> = batch.keys().collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    look(to, &keys).await
}

/// Settles what has no lease any more, and reads the rows.
async fn look(from: &mut SqliteConnection, keys: &[&Key]) -> sqlx::Result<Vec<Seen>> {
    let mut seen = vec![Seen::Absent; keys.len()];
    let keys = sql::keys(keys);
    sqlx::query(sql::EXPIRE)
        .bind(&keys)
        .execute(&mut *from)
        .await?;
    for row in sqlx::query(sql::LOOK).bind(&keys).fetch_all(from).await? {
        let n: i64 = row.try_get(0)?;
        if let Some(place) = usize::try_from(n).ok().and_then(|n| seen.get_mut(n)) {
            *place = read(&row)?;
        }
    }
    Ok(seen)
}

fn read(row: &SqliteRow) -> sqlx::Result<Seen> {
    let ticket: Uuid = row.try_get(1)?;
    Seen::from_row(
        ticket,
        row.try_get(2)?,
        row.try_get(3)?,
        row.try_get(4)?,
        row.try_get(5)?,
    )
}
