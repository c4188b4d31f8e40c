//! One call that was admitted, as the server hands it to its service.

use std::{num::NonZeroU32, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tonic::Code;

use super::{App, Asked, Denial, Memory, Peer, Policy, Record, Stopping};

/// One call that was admitted: who calls, for which app, and by when it must be answered.
/// The server puts it among the extensions of every request of the contract.
#[derive(Clone)]
pub struct Context {
    /// What is known of the RPC.
    pub policy: &'static Policy,
    /// The caller's name.
    pub caller: Arc<str>,
    /// The app that the call is for.
    pub app: Arc<App>,
    /// By when the call must be answered.
    pub due: Due,
    /// What the log says at the end of the call.
    pub record: Record,
    /// The other end of the connection.
    pub peer: Peer,
    /// The memory that the call takes. What goes on beyond the call with parts of its
    /// request keeps a clone.
    pub memory: Memory,
    /// Who decides on what the call asks for.
    pub gate: Arc<dyn Gate>,
    /// Who counts what becomes of the items of a stream.
    pub observer: Arc<dyn ItemObserver>,
    /// The caller's place among the operations in flight, from the time that the request
    /// was found to break no rule. `None` before, and for a caller without a share.
    pub slot: Option<Slot>,
}

/// A place in a caller's share of the operations in flight. It is free again when its last
/// clone is dropped.
#[derive(Clone, Debug)]
pub struct Slot {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Completes when what was denied may be asked for again, with the place in the caller's
/// share if one was waited for.
pub type Pause = Pin<Box<dyn Future<Output = Option<Slot>> + Send>>;

/// By when something must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The call as a whole, at this time.
    Call(Instant),
    /// Each item of a stream, this time after it was admitted, and no later than the
    /// stream's own deadline if its caller sets one.
    Item {
        /// The time for one item.
        timeout: Duration,
        /// The deadline of the stream.
        stream: Option<Instant>,
    },
}

/// Decides on what requests ask for. A stream asks again for each item, since rights may
/// change while it is open.
pub trait Gate: Send + Sync {
    /// Decides on a request before its rules are checked: whether its caller may make it,
    /// and then whether the caller's rate admits it. A request of a stream is an item, and
    /// is decided on like a call of its own; that of any other call has taken the first
    /// unit of the rate when its call was admitted.
    ///
    /// # Errors
    ///
    /// If it may not be carried out.
    fn admit(&self, context: &Context, asked: &Asked<'_>) -> Result<(), Denial>;

    /// Decides on a request that breaks no rule: whether its caller has a place for it
    /// among the operations in flight, unless the context has one already, and then whether
    /// the app's rate admits it. `None` if the caller needs no place.
    ///
    /// # Errors
    ///
    /// If it may not be carried out now.
    fn begin(&self, context: &Context, units: NonZeroU32) -> Result<Option<Slot>, Denial>;

    /// What an item of a stream waits for that was denied, before it asks again. `None` if
    /// it would be denied for ever.
    fn pause(&self, context: &Context, denial: &Denial) -> Option<Pause>;

    /// Whether the caller may read the access token of a user that is listed with this
    /// `app_id`.
    fn may_read_token(&self, context: &Context, app_id: Option<&str>) -> bool;
}

/// Counts what becomes of the items of a stream, where that of calls is counted.
pub trait ItemObserver: Send + Sync {
    /// An item of a stream of this RPC was answered, with this code. Its record says whether
    /// it was denied.
    fn answered(&self, policy: &'static Policy, record: &Record, code: Code);

    /// A panic ended an item.
    fn panicked(&self);
}

impl From<OwnedSemaphorePermit> for Slot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self {
            _permit: Arc::new(permit),
        }
    }
}

impl Due {
    /// By when an operation that begins now must be answered.
    #[must_use]
    pub fn deadline(self) -> Instant {
        match self {
            Self::Call(deadline) => deadline,
            Self::Item { timeout, stream } => {
                let item = Instant::now() + timeout;
                stream.map_or(item, |stream| stream.min(item))
            }
        }
    }

    /// The same for an item that was admitted: from now on it has a deadline of its own.
    #[must_use]
    pub fn admitted(self) -> Self {
        Self::Call(self.deadline())
    }

    /// By when the call as a whole must have ended, if it has to.
    #[must_use]
    pub fn of_call(self) -> Option<Instant> {
        match self {
            Self::Call(deadline) => Some(deadline),
            Self::Item { stream, .. } => stream,
        }
    }
}

impl Context {
    /// By when an operation that begins now must be answered.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.due.deadline()
    }

    /// An item of the call's stream, which takes this memory.
    #[must_use]
    pub fn item(&self, key: Arc<str>, memory: Memory) -> Self {
        Self {
            record: self.record.of_item(key),
            memory,
            ..self.clone()
        }
    }

    /// What the call waits for that was denied, before it asks again. `None` if it does not
    /// wait: only an item of a stream does, and only for what passes.
    #[must_use]
    pub fn pause(&self, denial: &Denial) -> Option<Pause> {
        self.record.key()?;
        self.gate.pause(self, denial)
    }

    /// The signal that the server shuts down, or that the connection is to end.
    #[must_use]
    pub fn stopping(&self) -> Stopping {
        self.peer.stopping().clone()
    }

    /// Passes a decision on, and records a denial.
    ///
    /// # Errors
    ///
    /// If the decision is a denial.
    pub fn decide<T>(&self, decision: Result<T, Denial>) -> Result<T, Denial> {
        decision.inspect_err(|denial| self.record.denied(denial.clone()))
    }
}
