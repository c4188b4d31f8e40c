//! The right to make a call, and the duty to settle it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{
    Key, Outcome,
    reply::{self, Reply},
};

/// Nothing was sent yet.
const IDLE: u8 = 0;
/// Something may have been sent.
const BEGUN: u8 = 1;
/// Nothing may be sent any more.
const ENDED: u8 = 2;

/// A claim that was won: the right to make the call, and the duty to settle it.
///
/// A ticket that is dropped settles itself: released if nothing was sent, unknown, with
/// no bytes, otherwise.
pub struct Ticket {
    claim: Option<Claim>,
    permit: SendPermit,
    sink: Arc<dyn Sink>,
}

/// Says, right before something is sent, whether it still may be.
///
/// A process that was stopped for longer than its lease finds that it may not. Its call
/// may count as unknown by then, and its caller may have looked for what came of it.
#[derive(Clone)]
pub struct SendPermit {
    deadline: Instant,
    state: Arc<AtomicU8>,
}

/// Resolves when a settlement has come to its end: to `true` once it is durable, to
/// `false` if the call counts as unknown instead. Dropping it changes nothing.
#[must_use = "the settlement is written in the background unless it is awaited"]
pub struct Settling(oneshot::Receiver<bool>);

/// Which claim it is.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) key: Key,
    /// Random to the process, and counted within it: another claim of the key has another.
    pub(super) ticket: Uuid,
}

/// What is to be written of a call that has ended.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) claim: Claim,
    /// When the lease has passed: trying further is of no use.
    pub(super) deadline: Instant,
    /// `None` releases the id.
    pub(super) outcome: Option<Outcome>,
    pub(super) written: Reply<bool>,
}

/// Takes settlements. It neither fails nor blocks.
pub(super) trait Sink: Send + Sync {
    fn settle(&self, settlement: Settlement);
}

impl Ticket {
    pub(super) fn new(claim: Claim, deadline: Instant, sink: Arc<dyn Sink>) -> Self {
        Self {
            claim: Some(claim),
            permit: SendPermit {
                deadline,
                state: Arc::new(AtomicU8::new(IDLE)),
            },
            sink,
        }
    }

    /// What to ask before each attempt, wherever that is made.
    #[must_use]
    pub fn permit(&self) -> SendPermit {
        self.permit.clone()
    }

    /// When the lease passes, on this machine's monotonic clock, measured from before the
    /// claim was written: never later than the database has it.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.permit.deadline
    }

    /// Whether the lease has not passed yet.
    #[must_use]
    pub fn is_current(&self) -> bool {
        Instant::now() < self.permit.deadline
    }

    /// Settles the call: its id gets this outcome from now on.
    ///
    /// If the lease has passed, and another call has asked for the id since, the call was
    /// settled as unknown, and that stays. The caller at hand can be told the outcome all the
    /// same; repeats are told that it is unknown, which is what some of them were told before.
    pub fn settle(mut self, outcome: Outcome) -> Settling {
        self.permit.end();
        self.write(Some(outcome))
    }

    /// Frees the id: the call was surely not carried out.
    pub fn release(mut self) -> Settling {
        self.permit.end();
        self.write(None)
    }

    fn write(&mut self, outcome: Option<Outcome>) -> Settling {
        let (written, settling) = reply::channel();
        if let Some(claim) = self.claim.take() {
            self.sink.settle(Settlement {
                claim,
                deadline: self.permit.deadline,
                outcome,
                written,
            });
        }
        Settling(settling)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.claim.is_some() {
            let has_begun = self.permit.end() == BEGUN;
            let outcome = has_begun.then(|| Outcome::Unknown(bytes::Bytes::new()));
            drop(self.write(outcome));
        }
    }
}

impl SendPermit {
    /// Begins to send, if that may still be: the lease has not passed, and the ticket was
    /// neither settled nor dropped. The call counts as sent from then on.
    #[must_use]
    pub fn begin(&self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        let begun = self
            .state
            .compare_exchange(IDLE, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        matches!(begun, Ok(_) | Err(BEGUN))
    }

    fn end(&self) -> u8 {
        self.state.swap(ENDED, Ordering::AcqRel)
    }
}

impl Future for Settling {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|written| written.unwrap_or(false))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("claim", &self.claim)
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SendPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendPermit")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}
