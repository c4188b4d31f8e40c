//! Holds calls back while Mesibo does not answer.
//!
//! A circuit breaker: closed, it counts failures in a row. Open, it lets no call
//! through until a probe is due; one call at a time is the probe, and any answer
//! closes it. What counts is whether there is an answer, not whether Mesibo says yes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Failure;

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 10;

/// How long it is open before the first probe, doubled after each that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest time between two probes.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// An attempt that was given up sooner than this says nothing: its caller may have
/// been in a hurry.
const PATIENCE: Duration = Duration::from_secs(3);

/// The breaker.
pub(super) struct Breaker {
    /// The name of the application, for the log.
    app: Arc<str>,
    state: Mutex<State>,
}

/// What it knows.
struct State {
    /// Failures in a row.
    failures: u32,
    /// When the next probe is due, if the breaker is open.
    probe_at: Option<Instant>,
    /// How long to pause after a failed probe.
    pause: Duration,
    /// Whether a probe is under way.
    probing: bool,
}

/// One attempt that the breaker let through. Dropped without an outcome, it was
/// given up.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    started: Instant,
    is_probe: bool,
    finished: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            failures: 0,
            probe_at: None,
            pause: FIRST_PAUSE,
            probing: false,
        }
    }
}

impl Breaker {
    /// A closed breaker of an application.
    pub(super) fn new(app: Arc<str>) -> Self {
        Self {
            app,
            state: Mutex::default(),
        }
    }

    /// Lets an attempt through, or not.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Failure> {
        let mut state = self.state();
        let started = Instant::now();
        let is_probe = state.probe_at.is_some();
        if let Some(probe_at) = state.probe_at {
            let wait = if state.probing {
                state.pause
            } else {
                probe_at.saturating_duration_since(started)
            };
            if !wait.is_zero() {
                return Err(Failure::Down { retry_after: wait });
            }
            state.probing = true;
        }
        Ok(Pass {
            breaker: self,
            started,
            is_probe,
            finished: false,
        })
    }

    /// Whether calls are held back, but for probes.
    pub(super) fn is_open(&self) -> bool {
        self.state().probe_at.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The attempt is over, with an answer or without one.
    pub(super) fn finish(mut self, answered: bool) {
        self.finished = true;
        let mut state = self.breaker.state();
        if answered {
            if state.probe_at.is_some() {
                tracing::info!(app = &*self.breaker.app, "Mesibo answers again");
            }
            *state = State::default();
        } else {
            state.fail(self.is_probe, &self.breaker.app);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut state = self.breaker.state();
        if self.started.elapsed() >= PATIENCE {
            state.fail(self.is_probe, &self.breaker.app);
        } else if self.is_probe {
            // The next call may take its place.
            state.probing = false;
        }
    }
}

impl State {
    fn fail(&mut self, is_probe: bool, app: &str) {
        self.failures = self.failures.saturating_add(1);
        if is_probe {
            self.probing = false;
            self.probe_at = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(MAX_PAUSE);
        } else if self.probe_at.is_none() && self.failures >= MAX_FAILURES {
            tracing::warn!(
                app,
                failures = self.failures,
                "Mesibo does not answer; calls are held back but for probes"
            );
            self.probe_at = Some(Instant::now() + self.pause);
            self.pause *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.enter().ok().unwrap().finish(false);
        }
    }

    /// How long calls are held back, if they are.
    fn held_back(breaker: &Breaker) -> Option<Duration> {
        match breaker.enter() {
            Err(Failure::Down { retry_after }) => Some(retry_after),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_in_a_row_open_it() {
        let breaker = Breaker::new("default".into());
        fail(&breaker, 9);
        breaker.enter().ok().unwrap().finish(true);
        fail(&breaker, 9);
        assert_eq!(held_back(&breaker), None);
        fail(&breaker, 1);
        assert_eq!(held_back(&breaker), Some(FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_tests_the_way_less_and_less_often() {
        let breaker = Breaker::new("default".into());
        fail(&breaker, 10);
        for pause in [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs) {
            assert_eq!(held_back(&breaker), Some(pause));
            advance(pause).await;
            let probe = breaker.enter().ok().unwrap();
            assert!(held_back(&breaker).is_some(), "one probe is enough");
            probe.finish(false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_closes_it() {
        let breaker = Breaker::new("default".into());
        fail(&breaker, 10);
        advance(FIRST_PAUSE).await;
        breaker.enter().ok().unwrap().finish(true);
        fail(&breaker, 9);
        assert_eq!(held_back(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_given_up_counts_only_after_a_while() {
        let breaker = Breaker::new("default".into());
        for _ in 0..100 {
            drop(breaker.enter());
        }
        assert_eq!(held_back(&breaker), None);
        for _ in 0..10 {
            let attempt = breaker.enter();
            advance(PATIENCE).await;
            drop(attempt);
        }
        assert_eq!(held_back(&breaker), Some(FIRST_PAUSE));

        advance(FIRST_PAUSE).await;
        drop(breaker.enter());
        assert_eq!(held_back(&breaker), None, "the next call is the probe");
    }
}
