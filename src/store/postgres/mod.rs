//! Claims in PostgreSQL, for any number of processes.
//!
//! Every write is one statement, which the server carries out and commits by itself: a
//! process that is stopped in between holds no lock that others would wait for.

mod connect;
mod directory;
mod listen;
mod sql;

use std::time::Duration;

use sqlx::{
    Error, PgConnection, Postgres as Driver, Row as _,
    pool::PoolConnection,
    postgres::{PgPool, PgRow},
};
use tokio::time::timeout;
use uuid::Uuid;

#[cfg(test)]
pub(super) use self::sql::{CHANNEL, SWEEP_LOCK};
pub(super) use self::{
    connect::{inspect, open},
    directory::Directory,
    listen::listen,
};
use super::{
    Key,
    database::{Answers, Batch, Database, Failure, SWEEP_BATCH, Seen, Sweep},
    ticket::Settlement,
};

/// Claims and settlements, each through a connection that they keep.
pub(super) struct Postgres {
    claims: Link,
    settlements: Link,
}

/// Sweeps, through a connection that is taken for each.
pub(super) struct Sweeper {
    link: Link,
    retention_ms: i64,
}

/// A connection that is made when it is needed, and let go of after a failure.
struct Link {
    pool: PgPool,
    connection: Option<PoolConnection<Driver>>,
    timeout: Duration,
}

impl Postgres {
    pub(super) fn new(pool: &PgPool, timeout: Duration) -> Self {
        Self {
            claims: Link::new(pool, timeout),
            settlements: Link::new(pool, timeout),
        }
    }
}

impl Sweeper {
    pub(super) fn new(pool: &PgPool, timeout: Duration, retention: Duration) -> Self {
        Self {
            link: Link::new(pool, timeout),
            retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

impl Link {
    fn new(pool: &PgPool, timeout: Duration) -> Self {
        Self {
            pool: pool.clone(),
            connection: None,
            timeout,
        }
    }

    /// Does something with the connection, within the time limit. After a failure the
    /// connection is closed at once: what it still waits for is not known.
    async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, Failure> {
        let mut taken = None;
        let result = timeout(self.timeout, async {
            let connection = match self.connection.take() {
                Some(connection) => taken.insert(connection),
                None => taken.insert(self.pool.acquire().await?),
            };
            work(connection).await
        });
        let failure = match result.await {
            Ok(Ok(result)) => {
                self.connection = taken;
                return Ok(result);
            }
            Ok(Err(error)) => connect::failure(&error),
            Err(_) => Failure::transient("it did not answer in time"),
        };
        drop(taken.map(PoolConnection::detach));
        Err(failure)
    }
}

impl Database for Postgres {
    async fn write(&mut self, batch: &Batch<'_>) -> Answers {
        let seen = async {
            if batch.claims.is_empty() && batch.looks.is_empty() {
                return Ok(Vec::new());
            }
            self.claims.run(async |to| claim(to, batch).await).await
        };
        let settled = async {
            if batch.settlements.is_empty() {
                return Ok(Vec::new());
            }
            let settlements = &batch.settlements;
            self.settlements
                .run(async |to| settle(to, settlements).await)
                .await
        };
        let (seen, settled) = tokio::join!(seen, settled);
        Answers { seen, settled }
    }

    async fn close(self) {
        let pool = self.claims.pool.clone();
        let limit = self.claims.timeout;
        drop(self);
        let _ = timeout(limit, pool.close()).await;
    }
}

impl Sweep for Sweeper {
    async fn sweep(&mut self) -> Result<u64, Failure> {
        let retention_ms = self.retention_ms;
        let deleted = self.link.run(async |connection| {
            sqlx::query(sql::SWEEP)
                .bind(sql::SWEEP_LOCK)
                .bind(retention_ms)
                .bind(i64::from(SWEEP_BATCH))
                .execute(connection)
                .await
        });
        deleted.await.map(|deleted| deleted.rows_affected())
    }

    async fn rows(&mut self) -> Result<u64, Failure> {
        let rows = self
            .link
            .run(async |connection| sqlx::query_scalar(sql::ROWS).fetch_one(connection).await);
        let rows: i64 = rows.await?;
        // Until it is needed again, another may have it.
        self.link.connection = None;
        Ok(rows.cast_unsigned())
    }
}

async fn claim(to: &mut PgConnection, batch: &Batch<'_>) -> sqlx::Result<Vec<Seen>> {
    if !batch.claims.is_empty() {
        let written = sql::claim(&batch.claims).execute(&mut *to).await?;
        if batch.looks.is_empty() && written.rows_affected() == batch.claims.len() as u64 {
            return Ok(batch.all_won());
        }
    }
    look(to, &batch.keys().collect::<Vec<_>>()).await
}

async fn settle(to: &mut PgConnection, settlements: &[&Settlement]) -> sqlx::Result<Vec<bool>> {
    let (kept, released): (Vec<_>, Vec<_>) = settlements
        .iter()
        .partition(|settlement| settlement.outcome.is_some());
    let mut written = 0;
    if !kept.is_empty() {
        written += sql::settle(&kept)
            .fetch_one(&mut *to)
            .await?
            .try_get::<i64, _>(0)?;
    }
    if !released.is_empty() {
        written += sql::release(&released)
            .fetch_one(&mut *to)
            .await?
            .try_get::<i64, _>(0)?;
    }
    if written.cast_unsigned() == settlements.len() as u64 {
        return Ok(vec![true; settlements.len()]);
    }
    let keys = settlements.iter().map(|settlement| &settlement.claim.key);
    let seen = look(to, &keys.collect::<Vec<_>>()).await?;
    let pairs = seen.iter().zip(settlements);
    Ok(pairs
        .map(|(seen, settlement)| seen.has(settlement))
        .collect())
}

/// Settles what has no lease any more, marks the rest as waited for, and reads the rows.
async fn look(from: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<Vec<Seen>> {
    sql::touch(keys).execute(&mut *from).await?;
    let mut seen = vec![Seen::Absent; keys.len()];
    for row in sql::look(keys).fetch_all(from).await? {
        // Counted from 1.
        let n: i64 = row.try_get(0)?;
        if let Some(place) = usize::try_from(n - 1).ok().and_then(|n| seen.get_mut(n)) {
            *place = read(&row)?;
        }
    }
    Ok(seen)
}

fn read(row: &PgRow) -> sqlx::Result<Seen> {
    let ticket: Uuid = row.try_get(1)?;
    Seen::from_row(
        ticket,
        row.try_get(2)?,
        row.try_get(3)?,
        row.try_get(4)?,
        row.try_get(5)?,
    )
    .map_err(|error| Error::Decode(error.into()))
}
