//! A circuit breaker: holds calls back while Mesibo does not answer.
//!
//! Closed, it counts failures in a row. Open, it holds every call back until a probe is due;
//! one call at a time is the probe, and its answer closes the breaker. A failure is an
//! attempt without an answer: a Mesibo that refuses operations works.
//!
//! Libraries judge an attempt by the result that it returns. An attempt that its caller gave
//! up returns none, and when Mesibo hangs, every attempt ends so. Here a guard that is dropped
//! without a result counts as well, if nobody else was answered for long enough.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Failure;

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 10;

/// How long the breaker is open before the first probe. The pause doubles with each probe
/// that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause between two probes.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The circuit breaker of a client.
pub(super) struct Breaker {
    /// The name of the application, for log lines.
    app: Arc<str>,
    /// How long nobody must have had an answer for an attempt that is given up to be a
    /// failure: a caller in a hurry says nothing about Mesibo.
    patience: Duration,
    state: Mutex<State>,
}

/// An attempt that the breaker let through. Dropped without [`Self::finish`], it was given
/// up.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    generation: u64,
    is_finished: bool,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// How often the phase has changed. What began in an earlier phase is not counted in a
    /// later one.
    generation: u64,
    /// When the first attempt since the last answer began.
    unanswered_since: Option<Instant>,
}

enum Phase {
    /// Every attempt passes.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// Only probes pass.
    Open {
        /// When the next probe is due.
        probe_at: Instant,
        /// How long to wait for the next one if that fails.
        pause: Duration,
        /// Whether a probe is under way.
        is_probing: bool,
    },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// A closed breaker.
    pub(super) fn new(app: Arc<str>, patience: Duration) -> Self {
        Self {
            app,
            patience,
            state: Mutex::default(),
        }
    }

    /// Lets an attempt through.
    ///
    /// # Errors
    ///
    /// If the breaker is open, and no probe is due.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Failure> {
        let mut state = self.state();
        let now = Instant::now();
        state.phase.check(now)?;
        state.unanswered_since.get_or_insert(now);
        if let Phase::Open { is_probing, .. } = &mut state.phase {
            *is_probing = true;
        }
        Ok(Pass {
            breaker: self,
            generation: state.generation,
            is_finished: false,
        })
    }

    /// Checks whether an attempt would be let through now.
    ///
    /// # Errors
    ///
    /// As with [`Self::enter`].
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.state().phase.check(Instant::now())
    }

    /// Whether the breaker holds calls back, except for probes.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state().phase, Phase::Open { .. })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The attempt is over, with an answer or without one.
    pub(super) fn finish(mut self, answered: bool) {
        self.is_finished = true;
        let mut state = self.breaker.state();
        if answered {
            state.unanswered_since = None;
        }
        if state.generation != self.generation {
            return;
        }
        if answered {
            state.succeed(&self.breaker.app);
        } else {
            state.fail(&self.breaker.app);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let mut state = self.breaker.state();
        if state.generation != self.generation {
            return;
        }
        match &mut state.phase {
            // The next call is the probe instead.
            Phase::Open { is_probing, .. } => *is_probing = false,
            Phase::Closed { .. } => {
                let patience = self.breaker.patience;
                let since = state.unanswered_since;
                if since.is_some_and(|since| since.elapsed() >= patience) {
                    state.fail(&self.breaker.app);
                }
            }
        }
    }
}

impl State {
    fn succeed(&mut self, app: &str) {
        match &mut self.phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } => {
                tracing::info!(app, "Mesibo answers again");
                self.change(Phase::default());
            }
        }
    }

    fn fail(&mut self, app: &str) {
        match &mut self.phase {
            Phase::Closed { failures } => {
                *failures += 1;
                if *failures >= MAX_FAILURES {
                    tracing::warn!(
                        app,
                        failures,
                        "Mesibo does not answer; calls are held back, except for probes"
                    );
                    self.change(Phase::Open {
                        probe_at: Instant::now() + FIRST_PAUSE,
                        pause: FIRST_PAUSE * 2,
                        is_probing: false,
                    });
                }
            }
            // In this phase every attempt is a probe.
            Phase::Open {
                probe_at,
                pause,
                is_probing,
            } => {
                *probe_at = Instant::now() + *pause;
                *pause = (*pause * 2).min(MAX_PAUSE);
                *is_probing = false;
            }
        }
    }

    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

impl Phase {
    /// Fails if an attempt would be held back now.
    fn check(&self, now: Instant) -> Result<(), Failure> {
        let retry_after = match *self {
            Self::Open {
                pause,
                is_probing: true,
                ..
            } => pause,
            Self::Open { probe_at, .. } if now < probe_at => probe_at - now,
            Self::Open { .. } | Self::Closed { .. } => return Ok(()),
        };
        Err(Failure::Down { retry_after })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn breaker() -> Breaker {
        Breaker::new("default".into(), PATIENCE)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.enter().ok().unwrap().finish(false);
        }
    }

    /// How long a call is held back, if it is.
    fn held_back(breaker: &Breaker) -> Option<Duration> {
        match breaker.enter() {
            Err(Failure::Down { retry_after }) => Some(retry_after),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_in_a_row_open_it() {
        let breaker = breaker();
        fail(&breaker, 9);
        breaker.enter().ok().unwrap().finish(true);
        fail(&breaker, 9);
        assert_eq!(held_back(&breaker), None);
        fail(&breaker, 1);
        assert_eq!(held_back(&breaker), Some(FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_tests_the_way_less_and_less_often() {
        let breaker = breaker();
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
        let breaker = breaker();
        fail(&breaker, 10);
        advance(FIRST_PAUSE).await;
        breaker.enter().ok().unwrap().finish(true);
        fail(&breaker, 9);
        assert_eq!(held_back(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_callers_give_up_says_nothing_while_others_are_answered() {
        let breaker = breaker();
        for _ in 0..100 {
            let given_up = breaker.enter().ok().unwrap();
            advance(PATIENCE / 2).await;
            breaker.enter().ok().unwrap().finish(true);
            drop(breaker.enter());
            drop(given_up);
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_callers_give_up_counts_once_nobody_was_answered_for_long_enough() {
        let breaker = breaker();
        for _ in 0..100 {
            drop(breaker.enter());
        }
        advance(PATIENCE / 2).await;
        for _ in 0..100 {
            drop(breaker.enter());
        }
        assert!(!breaker.is_open());
        advance(PATIENCE / 2).await;
        for _ in 0..10 {
            drop(breaker.enter());
        }
        assert_eq!(held_back(&breaker), Some(FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_its_place_to_the_next_call() {
        let breaker = breaker();
        fail(&breaker, 10);
        advance(FIRST_PAUSE).await;
        let probe = breaker.enter().ok().unwrap();
        advance(PATIENCE * 2).await;
        assert!(held_back(&breaker).is_some());
        drop(probe);
        breaker.enter().ok().unwrap().finish(true);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_a_change_says_nothing_after_it() {
        let breaker = breaker();
        let late_success = breaker.enter().ok().unwrap();
        let late_failure = breaker.enter().ok().unwrap();
        fail(&breaker, 10);

        late_success.finish(true);
        assert_eq!(
            held_back(&breaker),
            Some(FIRST_PAUSE),
            "only a probe closes it"
        );
        advance(FIRST_PAUSE).await;
        let probe = breaker.enter().ok().unwrap();
        late_failure.finish(false);
        assert!(
            held_back(&breaker).is_some(),
            "the probe is still under way"
        );
        probe.finish(true);
        assert!(!breaker.is_open());

        let late_failures: Vec<_> = (0..20).map(|_| breaker.enter().ok().unwrap()).collect();
        fail(&breaker, 10);
        advance(FIRST_PAUSE).await;
        breaker.enter().ok().unwrap().finish(true);
        for late in late_failures {
            late.finish(false);
        }
        assert!(!breaker.is_open());
    }
}
