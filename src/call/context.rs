//! One call that was admitted, as the server hands it to its service.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{App, Denial, Peer, Policy, Record, Stopping};

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
    /// Who decides on what the call asks for.
    pub gate: Arc<dyn Gate>,
}

/// By when something must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The call as a whole, at this time.
    Call(Instant),
    /// Each item of a stream, after this time, and no later than the stream's own
    /// deadline if its caller sets one.
    Item {
        /// The time for one item.
        timeout: Duration,
        /// The deadline of the stream.
        stream: Option<Instant>,
    },
}

/// Decides whether what a call asks for is allowed. A stream asks again for each item,
/// since rights may change while it is open.
pub trait Gate: Send + Sync {
    /// Admits an item of a stream, as if it were a call of its own.
    ///
    /// # Errors
    ///
    /// If it may not be carried out.
    fn admit_item(&self, context: &Context) -> Result<(), Denial>;

    /// Whether a caller may send messages from an address.
    ///
    /// # Errors
    ///
    /// If it may not.
    fn may_send_from(&self, caller: &Arc<str>, address: &str) -> Result<(), Denial>;

    /// Whether a caller may make and delete user tokens for an `app_id`, or, with `None`,
    /// for every `app_id`.
    ///
    /// # Errors
    ///
    /// If it may not.
    fn may_grant(&self, caller: &Arc<str>, app_id: Option<&str>) -> Result<(), Denial>;
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
    pub fn decide(&self, decision: Result<(), Denial>) -> Result<(), Denial> {
        decision.inspect_err(|denial| self.record.denied(denial.clone()))
    }
}
