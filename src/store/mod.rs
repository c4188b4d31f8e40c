//! What is remembered of calls that are made once only: claims of request ids, and what
//! came of them.
//!
//! A claim is durable before the call is made. It has a lease, the longest time that the
//! call can take. Once the lease has passed without a settlement, nobody can know what
//! came of the call: the claim is then settled as unknown, by whoever asks first, and
//! stays so. The database's clock alone decides.
//!
//! The store knows neither gRPC nor HTTP: its answers are bytes.

mod config;
mod database;
mod direct;
pub mod directory;
mod durable;
mod engine;
mod error;
mod inspect;
mod memory;
pub mod metrics;
mod observer;
mod open;
mod pause;
mod postgres;
mod queue;
mod reply;
mod schema;
mod signals;
mod sqlite;
#[cfg(test)]
mod tests;
mod ticket;
mod waiting;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::{
    config::{Config, Location, LocationError},
    direct::DirectDirectory,
    directory::Directory,
    error::{Error, OpenError},
    inspect::inspect,
    metrics::StoreMetrics,
    observer::{ClaimResult, DirectoryResult, Event, NoObserver, Observer, SettleResult},
    open::{Opened, migrate, open, open_all},
    schema::Schema,
    ticket::{SendPermit, Settling, Ticket},
};

/// Whose request id it is: the id of another app, caller or RPC may be the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The app that the call is for.
    pub app: Arc<str>,
    /// The caller that chose the id.
    pub caller: Arc<str>,
    /// The full name of the RPC.
    pub rpc: &'static str,
    /// The request id.
    pub id: Uuid,
}

/// The SHA-256 of a request, which tells a repeat from another request with its id.
pub type Fingerprint = [u8; 32];

/// What came of a call. The bytes are the service's own: the store gives them back as
/// they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, or definitely answered, with this answer.
    Done(Bytes),
    /// It may have been carried out. The bytes are empty if the lease passed without a
    /// settlement.
    Unknown(Bytes),
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claimed {
    /// The id was free, and the call is the ticket's owner's to make.
    Won(Ticket),
    /// Another call has claimed the id, and its outcome is not known yet.
    UnderWay {
        /// The fingerprint of that call's request.
        request: Fingerprint,
    },
    /// A call with this id was made before.
    Settled {
        /// The fingerprint of that call's request.
        request: Fingerprint,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of waiting for a call that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was settled.
    Settled {
        /// The fingerprint of its request.
        request: Fingerprint,
        /// What came of it.
        outcome: Outcome,
    },
    /// It was surely not carried out, and its id is free: claim it.
    Released,
    /// It is still under way, and the time to wait for it is over.
    StillUnderWay,
}

/// What waits in the process to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Claims and reads, at most 4,096.
    pub claims: usize,
    /// Settlements, at most 16,384.
    pub settlements: usize,
    /// Records for the directory, at most 16,384.
    pub records: usize,
}

/// Claims of request ids, and what came of them.
pub trait Store: Send + Sync {
    /// Claims an id, atomically and durably.
    ///
    /// A won claim has to be settled within the lease, and nothing may be sent after it:
    /// [`Ticket::permit`]. The lease counts from before the claim is written, so it has to
    /// be the longest time that the call can take plus the store's time limit.
    ///
    /// If the future is dropped, a claim that it would have won is released.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if too much waits to be written, [`Error::Unavailable`] if the
    /// store did not answer within its time limit. Nothing may be sent then.
    fn claim(
        &self,
        key: Key,
        request: Fingerprint,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Claimed, Error>>;

    /// Waits until a call that is under way, here or in another process, is settled or
    /// released, or its lease has passed.
    ///
    /// # Errors
    ///
    /// As [`Store::claim`].
    fn wait<'a>(&'a self, key: &'a Key, until: Instant) -> BoxFuture<'a, Result<Waited, Error>>;

    /// Forgets what is remembered of calls for an app, for the emulator, when the app's world
    /// begins anew. A database forgets nothing before the retention is over.
    fn forget_app(&self, _app: &str) {}

    /// How much waits to be written.
    fn backlog(&self) -> Backlog;

    /// Writes the settlements that wait, for at most the store's time limit, and ends the
    /// store: later claims are answered [`Error::Unavailable`].
    fn close(&self) -> BoxFuture<'_, ()>;
}
