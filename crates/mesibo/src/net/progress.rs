//! How far a call has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How far a call has come: how many attempts it has made, and whether the request of the
/// last one was sent. All clones are of the same call.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<State>>);

struct State {
    /// No request begins to be sent from then on.
    deadline: Instant,
    attempts: u32,
    sent: bool,
    given_up: bool,
    shares_failure: bool,
}

impl Progress {
    /// A call that has not begun.
    pub(crate) fn new(deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(State {
            deadline,
            attempts: 0,
            sent: false,
            given_up: false,
            shares_failure: false,
        })))
    }

    /// Another attempt begins, of which nothing was sent yet.
    pub(crate) fn begin_attempt(&self) {
        let mut state = self.state();
        state.attempts += 1;
        state.sent = false;
        state.shares_failure = false;
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.state().attempts
    }

    /// Marks the request as sent, unless the call was given up or its deadline has passed.
    /// Returns whether it may be sent.
    ///
    /// The timer alone would not do: a process that was stopped for longer finds both the
    /// connection and the timer ready.
    pub(super) fn begin_sending(&self) -> bool {
        let mut state = self.state();
        if !state.sent {
            state.given_up |= Instant::now() >= state.deadline;
            state.sent = !state.given_up;
        }
        state.sent
    }

    /// The attempt failed by what another attempt has failed by: a connection was lost that
    /// they shared.
    pub(super) fn mark_shared_failure(&self) {
        self.state().shares_failure = true;
    }

    /// Whether the attempt failed by what another attempt has failed by.
    pub(crate) fn shares_failure(&self) -> bool {
        self.state().shares_failure
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_request_begins_to_be_sent_after_the_deadline_and_one_that_began_goes_on() {
        let second = Duration::from_secs(1);
        let (late, in_time) = (
            Progress::new(Instant::now() + second),
            Progress::new(Instant::now() + second),
        );
        assert!(in_time.begin_sending());
        tokio::time::advance(second).await;
        assert!(!late.begin_sending());
        assert!(!late.give_up());
        assert!(in_time.begin_sending());
        assert!(in_time.give_up());
    }
}
