//! What calls want to read of the directory, on its way to the store's thread. Each job holds a
//! place of those that may wait, until it is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedReceiver};

use super::{
    inbox::Receiver,
    rows::{Bind, Fetch, Row},
};
use crate::store::{Error, reply::Reply};

/// The jobs of a directory, for its keeper and its readers. Whoever writes is not woken by
/// what is to be read.
pub(in crate::store) struct Jobs {
    pub(super) records: Receiver,
    pub(super) fetches: UnboundedReceiver<FetchJob>,
    pub(super) look_ups: UnboundedReceiver<LookUpJob>,
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
