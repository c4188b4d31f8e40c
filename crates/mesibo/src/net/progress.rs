//! How far a call has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far a call has come: how many attempts it has made, and whether the request of the
/// last one was sent. All clones are of the same call.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    attempts: u32,
    sent: bool,
    given_up: bool,
}

impl Progress {
    /// Another attempt begins, of which nothing was sent yet.
    pub(crate) fn begin_attempt(&self) {
        let mut state = self.state();
        state.attempts += 1;
        state.sent = false;
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.state().attempts
    }

    /// Marks the request as sent, unless the call was given up. Returns whether it may be
    /// sent.
    pub(super) fn begin_sending(&self) -> bool {
        let mut state = self.state();
        state.sent |= !state.given_up;
        state.sent
    }

    /// Nothing of the request reached the server.
    pub(super) fn mark_unsent(&self) {
        self.state().sent = false;
    }

    /// Whether the request, or a part of it, may have been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.state().sent
    }

    /// Gives the call up: what was not sent by now never will be. Returns whether the
    /// request, or a part of it, may have been sent.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state();
        state.given_up = true;
        state.sent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
