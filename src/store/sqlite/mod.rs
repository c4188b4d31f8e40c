//! Claims in a file on this machine.

mod checkpoint;
mod connect;
mod directory;
mod scopes;
mod sql;

use std::{mem, sync::Arc};

use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tokio::sync::{Mutex, MutexGuard, Notify};
use uuid::Uuid;

use self::scopes::Scopes;
pub(super) use self::{
    checkpoint::checkpoints,
    connect::{inspect, open},
    directory::Directory,
};
use super::{
    Key,
    database::{Answers, Batch, Database, Failure, SWEEP_BATCH, Seen, Sweep},
    ticket::Claim,
};

/// The file, through the one connection that writes. Whoever locks it first writes first,
/// so that neither claims nor sweeps starve.
#[derive(Clone)]
pub(super) struct Sqlite {
    connection: Arc<Mutex<Option<SqliteConnection>>>,
    options: SqliteConnectOptions,
    retention_ms: i64,
    scopes: Scopes,
    /// Told of what was written.
    written: Arc<Notify>,
}

impl Sqlite {
    /// Each statement is durable by itself.
    async fn carry_out(
        &self,
        batch: &Batch<'_>,
        scopes: &mut Scopes,
    ) -> sqlx::Result<(Vec<Seen>, Vec<bool>)> {
        let mut connection = self.connection().await?;
        let connection = connection.as_mut().expect("it was just connected");
        let settled = batch.settlements.iter().map(|it| &it.claim.key);
        scopes
            .learn(batch.keys().chain(settled), connection)
            .await?;
        let (settlements, claims) = (batch.settlements.len(), batch.claims.len());
        let written = write(connection, batch, scopes).await?;
        if written == (settlements + claims) as u64 && batch.looks.is_empty() {
            return Ok((batch.all_won(), vec![true; settlements]));
        }
        let keys = batch.settlements.iter();
        let keys: Vec<_> = keys.map(|settled| (&settled.claim.key, None)).collect();
        let settled = look(connection, &keys, scopes).await?;
        let pairs = settled.iter().zip(&batch.settlements);
        let settled = pairs.map(|(seen, settlement)| seen.has(settlement));
        let claims = batch.claims.iter().map(|new| key_of(&new.claim));
        let looks = batch.looks.iter().map(|key| (*key, None));
        let keys: Vec<_> = claims.chain(looks).collect();
        Ok((look(connection, &keys, scopes).await?, settled.collect()))
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
        // After an error they are learnt anew.
        let mut scopes = mem::take(&mut self.scopes);
        match self.carry_out(batch, &mut scopes).await {
            Ok((seen, settled)) => {
                self.scopes = scopes;
                self.written.notify_one();
                Answers {
                    seen: Ok(seen),
                    settled: Ok(settled),
                }
            }
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

/// Writes outcomes, and claims, and gives how many of them changed a row.
async fn write(to: &mut SqliteConnection, batch: &Batch<'_>, scopes: &Scopes) -> sqlx::Result<u64> {
    let mut released = Vec::new();
    let mut settled = Vec::new();
    for settlement in &batch.settlements {
        match &settlement.outcome {
            Some(outcome) => settled.push((&settlement.claim, outcome)),
            None => released.push(key_of(&settlement.claim)),
        }
    }
    let mut written = 0;
    if !released.is_empty() {
        let rows = sql::keys(scopes, &released);
        let result = sqlx::query(sql::RELEASE).bind(rows).execute(&mut *to);
        written += result.await?.rows_affected();
    }
    if settled.len() + batch.claims.len() > 0 {
        let rows = sql::writes(scopes, &settled, &batch.claims);
        let result = sqlx::query(sql::WRITE).bind(rows).execute(&mut *to);
        written += result.await?.rows_affected();
    }
    Ok(written)
}

fn key_of(claim: &Claim) -> (&Key, Option<Uuid>) {
    (&claim.key, Some(claim.ticket))
}

/// Settles what has no lease any more, and reads the rows.
async fn look(
    from: &mut SqliteConnection,
    keys: &[(&Key, Option<Uuid>)],
    scopes: &Scopes,
) -> sqlx::Result<Vec<Seen>> {
    let mut seen = vec![Seen::Absent; keys.len()];
    if keys.is_empty() {
        return Ok(seen);
    }
    let keys = sql::keys(scopes, keys);
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
