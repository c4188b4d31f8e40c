//! How far a call has come, for those who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    error::Error,
    wire::{operation::Operation, reply::FromReply},
};

/// How far a call has come. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    attempts: u32,
    sent: bool,
    given_up: bool,
}

impl Progress {
    /// Another attempt begins.
    pub(crate) fn attempt(&self) {
        self.state().attempts += 1;
    }

    /// How many attempts were made.
    pub(crate) fn attempts(&self) -> u32 {
        self.state().attempts
    }

    /// The request is about to be sent: whether it still may be.
    pub(crate) fn send(&self) -> bool {
        let mut state = self.state();
        state.sent |= !state.given_up;
        state.sent
    }

    /// Nothing was sent after all.
    pub(crate) fn unsend(&self) {
        self.state().sent = false;
    }

    /// Whether the request, or some of it, may have been sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.state().sent
    }

    /// Nobody waits any longer: from now on nothing is sent. Whether it was before.
    pub(crate) fn give_up(&self) -> bool {
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
pub(crate) fn out_of_time<R: FromReply>(operation: &Operation<R>, progress: &Progress) -> Error {
    Error::out_of_time(operation, progress.attempts(), progress.give_up())
}
