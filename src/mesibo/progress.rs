//! How far a call has come, for those who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{error::Error, operation::Operation, reply::FromReply};

/// How far a call has come. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    attempts: u32,
    sent: bool,
    given_up: bool,
}

impl Progress {
    /// Another attempt begins.
    pub(super) fn attempt(&self) {
        self.state().attempts += 1;
    }

    /// How many attempts were made.
    pub(super) fn attempts(&self) -> u32 {
        self.state().attempts
    }

    /// The request is about to be sent: whether it still may be.
    pub(super) fn send(&self) -> bool {
        let mut state = self.state();
        state.sent |= !state.given_up;
        state.sent
    }

    /// Nothing was sent after all.
    pub(super) fn unsend(&self) {
        self.state().sent = false;
    }

    /// Whether the request, or some of it, may have been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.state().sent
    }

    /// Nobody waits any longer: from now on nothing is sent. Whether it was before.
    pub(super) fn give_up(&self) -> bool {
        let mut state = self.state();
        state.given_up = true;
        state.sent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it means that nobody waits for an operation any longer: from now on nothing of it
/// is sent.
pub(super) fn out_of_time<R: FromReply>(operation: &Operation<R>, progress: &Progress) -> Error {
    Error::out_of_time(operation, progress.attempts(), progress.give_up())
}
