//! Claims in a file on this machine.

mod checkpoint;
mod connect;
mod directory;
mod link;
mod open;
mod presence;
mod scopes;
mod sql;

use std::{mem, path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, Row, params, types::Type};
use tokio::sync::Notify;
use uuid::Uuid;

pub(super) use self::{
    checkpoint::checkpoints,
    directory::Directory,
    open::{inspect, open},
};
use self::{link::Link, presence::Presence, scopes::Scopes};
use super::{
    Config, Key,
    database::{Answers, Batch, Database, Failure, SWEEP_BATCH, Seen, Sweep},
    ticket::Claim,
};

/// The file, through the one connection that writes. Whoever comes first writes first, so that
/// neither claims nor sweeps starve.
#[derive(Clone)]
pub(super) struct Sqlite {
    writer: Link,
    timeout: Duration,
    retention_ms: i64,
    scopes: Scopes,
    /// Told of what was written.
    written: Arc<Notify>,
    presence: Arc<Presence>,
}

impl Sqlite {
    fn new(file: &Path, config: &Config, presence: Presence) -> Self {
        Self {
            writer: Link::new(file, Duration::ZERO),
            timeout: config.timeout,
            retention_ms: i64::try_from(config.retention.as_millis()).unwrap_or(i64::MAX / 2),
            scopes: Scopes::default(),
            written: Arc::default(),
            presence: Arc::new(presence),
        }
    }

    pub(super) fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }

    /// Uses the connection that writes. `work` is done again while another process has the
    /// file locked.
    ///
    /// It is done in this thread, which has nothing to do meanwhile that does not need the
    /// connection: another one would take more processor time to be woken than to do it.
    pub(in crate::store) async fn with<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let done = connect::unlocked(self.timeout, || self.writer.with(&mut work)).await;
        done.map_err(|error| connect::failure(&error))
    }
}

impl Database for Sqlite {
    async fn write(&mut self, batch: &Batch<'_>) -> Answers {
        // After an error they are learnt anew.
        let mut scopes = mem::take(&mut self.scopes);
        let written = self.with(|connection| write(connection, batch, &mut scopes));
        match written.await {
            Ok((seen, settled)) => {
                self.scopes = scopes;
                self.written.notify_one();
                Answers {
                    seen: Ok(seen),
                    settled: Ok(settled),
                }
            }
            Err(failure) => Answers {
                seen: Err(failure.clone()),
                settled: Err(failure),
            },
        }
    }

    async fn close(self) {
        self.writer.close();
    }
}

impl Sweep for Sqlite {
    async fn sweep(&mut self) -> Result<u64, Failure> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql::SWEEP)?;
            let deleted = statement.execute(params![SWEEP_BATCH, self.retention_ms])?;
            Ok(deleted as u64)
        })
        .await
    }

    async fn rows(&mut self) -> Result<u64, Failure> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql::ROWS)?;
            statement.query_row([], |row| row.get::<_, i64>(0))
        })
        .await
        .map(i64::cast_unsigned)
    }
}

/// Each statement is durable by itself.
fn write(
    to: &Connection,
    batch: &Batch<'_>,
    scopes: &mut Scopes,
) -> rusqlite::Result<(Vec<Seen>, Vec<bool>)> {
    let settled = batch.settlements.iter().map(|it| &it.claim.key);
    scopes.learn(batch.keys().chain(settled), to)?;
    let (settlements, claims) = (batch.settlements.len(), batch.claims.len());
    let written = write_rows(to, batch, scopes)?;
    if written == settlements + claims && batch.looks.is_empty() {
        return Ok((batch.all_won(), vec![true; settlements]));
    }
    let keys = batch.settlements.iter();
    let keys: Vec<_> = keys.map(|settled| (&settled.claim.key, None)).collect();
    let settled = look(to, &keys, scopes)?;
    let pairs = settled.iter().zip(&batch.settlements);
    let settled = pairs.map(|(seen, settlement)| seen.has(settlement));
    let claims = batch.claims.iter().map(|new| key_of(&new.claim));
    let looks = batch.looks.iter().map(|key| (*key, None));
    let keys: Vec<_> = claims.chain(looks).collect();
    Ok((look(to, &keys, scopes)?, settled.collect()))
}

/// Writes outcomes, and claims, and gives how many of them changed a row.
fn write_rows(to: &Connection, batch: &Batch<'_>, scopes: &Scopes) -> rusqlite::Result<usize> {
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
        written += to.prepare_cached(sql::RELEASE)?.execute([rows])?;
    }
    if settled.len() + batch.claims.len() > 0 {
        let rows = sql::writes(scopes, &settled, &batch.claims);
        written += to.prepare_cached(sql::WRITE)?.execute([rows])?;
    }
    Ok(written)
}

fn key_of(claim: &Claim) -> (&Key, Option<Uuid>) {
    (&claim.key, Some(claim.ticket))
}

/// Settles what has no lease any more, and reads the rows.
fn look(
    from: &Connection,
    keys: &[(&Key, Option<Uuid>)],
    scopes: &Scopes,
) -> rusqlite::Result<Vec<Seen>> {
    let mut seen = vec![Seen::Absent; keys.len()];
    if keys.is_empty() {
        return Ok(seen);
    }
    let keys = sql::keys(scopes, keys);
    from.prepare_cached(sql::EXPIRE)?.execute([&keys])?;
    let mut statement = from.prepare_cached(sql::LOOK)?;
    let mut rows = statement.query([&keys])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        if let Some(place) = usize::try_from(n).ok().and_then(|n| seen.get_mut(n)) {
            *place = read(row)?;
        }
    }
    Ok(seen)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Seen> {
    Seen::from_row(
        Uuid::from_bytes(row.get(1)?),
        row.get_ref(2)?.as_blob()?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
    )
    .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, error.into()))
}
