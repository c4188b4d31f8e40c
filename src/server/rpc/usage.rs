//! What connections and their calls take of the server, and what of it they may take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool};

use http::HeaderMap;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    call::{
        Memory, Policy,
        memory::{Exhausted, Pool},
    },
    server::{
        config::{Limits, MAX_WATCHES, MAX_WATCHES_PER_CONNECTION, STREAM_BYTES},
        metrics::{PoolOf, ServerMetrics},
    },
};

/// The memory of a call besides its headers and its message: its task, its stream, the
/// first buffer of its message, and its response. Measured: 12 KiB with a body that never
/// comes.
const CALL_BYTES: usize = 12 << 10;

/// The memory of a header besides its name and its value.
const HEADER_BYTES: usize = 128;

/// What the calls of one port may take.
pub(in crate::server) struct Budget {
    of_callers: Pool,
    of_others: Pool,
    watches: Arc<Semaphore>,
    /// The most memory that the requests of one connection take, in bytes.
    memory: usize,
}

/// What the calls of one connection take.
pub(in crate::server) struct Usage {
    memory: Pool,
    watches: Arc<Semaphore>,
    /// The calls of the connection.
    pub(in crate::server) calls: Arc<Activity>,
    /// The calls that callers were known for.
    pub(in crate::server) calls_of_callers: Arc<Activity>,
    /// Whether the connection is to come back to another thread.
    pub(in crate::server) is_moved: AtomicBool,
}

/// Which limit a watch of health is above.
pub(super) enum WatchLimit {
    Connection,
    Server,
}

/// A watch of health, which counts until it is dropped.
pub(super) struct Watching(#[expect(dead_code, reason = "held")] [OwnedSemaphorePermit; 2]);

/// How many calls are in flight, and since when there are none.
pub(in crate::server) struct Activity(Mutex<InFlight>);

struct InFlight {
    calls: usize,
    /// How many calls have begun.
    begun: u64,
    /// When a call ended last.
    changed: Instant,
}

/// A call in flight.
pub(in crate::server) struct Active(Arc<Activity>);

impl Budget {
    /// What the calls of the gRPC port may take.
    pub(in crate::server) fn of_grpc(limits: &Limits, metrics: &ServerMetrics) -> Self {
        Self::new(
            metrics.request_memory(PoolOf::Callers, limits.request_memory_of_callers()),
            metrics.request_memory(PoolOf::Others, limits.request_memory_of_others()),
            limits,
        )
    }

    /// What the calls of the port for health may take.
    pub(in crate::server) fn of_health(limits: &Limits, metrics: &ServerMetrics) -> Self {
        let pool = metrics.request_memory(PoolOf::Health, limits.request_memory_of_others());
        Self::new(pool.clone(), pool, limits)
    }

    fn new(of_callers: Pool, of_others: Pool, limits: &Limits) -> Self {
        Self {
            of_callers,
            of_others,
            watches: Arc::new(Semaphore::new(MAX_WATCHES)),
            memory: limits.max_request_memory_per_connection,
        }
    }

    /// The usage of a new connection.
    pub(in crate::server) fn open(&self) -> Usage {
        Usage {
            memory: Pool::new(self.memory, Gauge::default()),
            watches: Arc::new(Semaphore::new(MAX_WATCHES_PER_CONNECTION)),
            calls: Arc::default(),
            calls_of_callers: Arc::default(),
            is_moved: AtomicBool::new(false),
        }
    }

    /// The memory of a call with these headers, before its message is read.
    pub(super) fn take(
        &self,
        usage: &Usage,
        has_caller: bool,
        policy: &Policy,
        headers: &HeaderMap,
    ) -> Result<Memory, Exhausted> {
        let pool = if has_caller {
            &self.of_callers
        } else {
            &self.of_others
        };
        let of_headers: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES)
            .sum();
        let of_stream = if policy.is_stream_of_items() {
            STREAM_BYTES
        } else {
            0
        };
        Memory::take(
            [usage.memory.clone(), pool.clone()],
            CALL_BYTES + of_headers + of_stream,
        )
    }

    /// Counts a watch of health.
    pub(super) fn watch(&self, usage: &Usage) -> Result<Watching, WatchLimit> {
        let of = |watches: &Arc<Semaphore>| Arc::clone(watches).try_acquire_owned();
        let connection = of(&usage.watches).map_err(|_| WatchLimit::Connection)?;
        let server = of(&self.watches).map_err(|_| WatchLimit::Server)?;
        Ok(Watching([connection, server]))
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(InFlight {
            calls: 0,
            begun: 0,
            changed: Instant::now(),
        }))
    }
}

impl Activity {
    /// Counts a call, until the result is dropped.
    pub(in crate::server) fn begin(self: &Arc<Self>) -> Active {
        let mut in_flight = self.in_flight();
        in_flight.calls += 1;
        in_flight.begun += 1;
        Active(Arc::clone(self))
    }

    /// How many calls have begun.
    pub(in crate::server) fn begun(&self) -> u64 {
        self.in_flight().begun
    }

    /// Since when no call is in flight. `None` if one is.
    pub(in crate::server) fn idle_since(&self) -> Option<Instant> {
        let in_flight = self.in_flight();
        (in_flight.calls == 0).then_some(in_flight.changed)
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight();
        in_flight.calls -= 1;
        in_flight.changed = Instant::now();
    }
}
