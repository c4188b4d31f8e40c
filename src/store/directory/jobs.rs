//! What calls want of the directory, on its way to the store's thread. Each job holds a place
//! of those that may wait, until it is dropped.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc::UnboundedReceiver, oneshot},
    time::Instant,
};

use super::{
    record::Record,
    rows::{Bind, Fetch, Row},
};
use crate::store::{Error, reply::Reply};

/// The jobs of a directory, for its keeper and its readers. Whoever writes is not woken by
/// what is to be read.
pub(in crate::store) struct Jobs {
    pub(super) records: UnboundedReceiver<Job>,
    pub(super) fetches: UnboundedReceiver<FetchJob>,
    pub(super) look_ups: UnboundedReceiver<LookUpJob>,
}

/// A job for the keeper.
pub(super) enum Job {
    Record(RecordJob),
    /// Nothing comes after it, and nothing is written after this time.
    Close(Instant, oneshot::Sender<()>),
}

/// A record to be written.
pub(super) struct RecordJob {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) record: Record,
    pub(super) written: Reply<()>,
}

/// A read of rows.
pub(super) struct FetchJob {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) fetch: Fetch,
    pub(super) reply: Reply<Result<Vec<Row>, Error>>,
}

/// A look for one entry by its key.
pub(super) struct LookUpJob {
    pub(super) _place: OwnedSemaphorePermit,
    /// Finds entries for rows of a number, an app and a key. What it answers has the number
    /// for an id.
    pub(super) sql: &'static str,
    pub(super) app: Arc<str>,
    pub(super) key: Bind,
    pub(super) reply: Reply<Result<Option<Row>, Error>>,
}
