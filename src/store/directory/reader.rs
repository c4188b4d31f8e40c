//! Reads for calls, beside what is written.

use std::{mem, sync::Arc};

use tokio::{
    select,
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::timeout,
};

use super::{
    handle::Handle,
    jobs::{FetchJob, LookUpJob},
    rows::{Backend, Bind, Fetch, Row, json},
};
use crate::store::{
    Error,
    database::{Failure, MAX_BATCH},
    observer::Event,
    reply::Replies,
};

/// How many pages are read side by side.
const READERS: usize = 4;

/// Reads pages for as long as it is polled.
pub(super) async fn fetch(
    backend: Arc<impl Backend>,
    handle: Handle,
    mut jobs: UnboundedReceiver<FetchJob>,
) {
    let readers = Arc::new(Semaphore::new(READERS));
    let mut reads = JoinSet::new();
    while let Some(job) = jobs.recv().await {
        while reads.try_join_next().is_some() {}
        let (backend, handle, readers) =
            (Arc::clone(&backend), handle.clone(), Arc::clone(&readers));
        reads.spawn(async move {
            let FetchJob {
                place,
                fetch,
                mut reply,
            } = job;
            let rows = async {
                let _reader = readers.acquire().await;
                read(&*backend, &handle, fetch).await
            };
            // Whoever asked goes away after the time limit.
            let answer = select! {
                answer = rows => answer,
                () = reply.closed() => return,
            };
            drop(place);
            reply.send(answer);
        });
    }
}

/// Looks entries up for as long as it is polled.
pub(super) async fn look_up(
    backend: Arc<impl Backend>,
    handle: Handle,
    mut jobs: UnboundedReceiver<LookUpJob>,
) {
    let mut waiting = Vec::new();
    while jobs.recv_many(&mut waiting, MAX_BATCH).await > 0 {
        waiting.retain(|job| !job.reply.is_closed());
        while let Some(first) = waiting.first() {
            let sql = first.sql;
            let (batch, others) = mem::take(&mut waiting)
                .into_iter()
                .partition(|job| job.sql == sql);
            waiting = others;
            look_up_batch(&*backend, &handle, sql, batch).await;
        }
    }
}

async fn look_up_batch(
    backend: &impl Backend,
    handle: &Handle,
    sql: &'static str,
    batch: Vec<LookUpJob>,
) {
    let rows = batch.iter().enumerate();
    let rows = rows.map(|(n, job)| (n, &*job.app, &job.key));
    let fetch = Fetch {
        sql,
        binds: vec![Bind::Text(json(rows))],
        writes: false,
    };
    let found = read(backend, handle, fetch).await.map(|rows| {
        let mut found: Vec<Option<Row>> = vec![None; batch.len()];
        for row in rows {
            if let Some(place) = usize::try_from(row.id).ok().and_then(|n| found.get_mut(n)) {
                *place = Some(row);
            }
        }
        found
    });
    let mut replies = Replies::default();
    match found {
        Ok(found) => {
            for (job, row) in batch.into_iter().zip(found) {
                replies.add(job.reply, Ok(row));
            }
        }
        Err(error) => {
            for job in batch {
                replies.add(job.reply, Err(error));
            }
        }
    }
    replies.send();
}

/// Reads rows within the store's time limit.
async fn read(backend: &impl Backend, handle: &Handle, fetch: Fetch) -> Result<Vec<Row>, Error> {
    let result = timeout(handle.timeout(), backend.fetch(fetch)).await;
    let result = result.unwrap_or_else(|_| Err(Failure::transient("it did not answer in time")));
    result.map_err(|failure| {
        handle.observer().observe(Event::Failed);
        tracing::warn!(cause = %failure.cause, "the directory was not read");
        Error::UNAVAILABLE
    })
}
