//! Whether an attempt may be made now: what the breaker and the limit say together.

use std::sync::Arc;

use tokio::sync::SemaphorePermit;

use super::{
    breaker::{Breaker, Pass},
    limit::Limit,
};
use crate::{config::Config, error::Failure};

/// Decides whether an attempt may be made now.
pub(super) struct Admission {
    pub(super) breaker: Breaker,
    pub(super) limit: Limit,
}

/// An attempt that may be made. Dropped without [`Self::finish`], it was given up.
pub(super) struct Admitted<'a> {
    pass: Pass<'a>,
    _slot: SemaphorePermit<'a>,
}

impl Admission {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            breaker: Breaker::new(Arc::clone(&config.app), config.patience),
            limit: Limit::new(config.max_in_flight, config.max_waiting, config.max_wait),
        }
    }

    /// Admits an attempt, which may wait for a slot. The breaker counts it from the moment
    /// that it has one: a wait for a slot says nothing about Mesibo.
    ///
    /// # Errors
    ///
    /// If the breaker is open, or no slot becomes free.
    pub(super) async fn enter(&self) -> Result<Admitted<'_>, Failure> {
        let slot = if let Some(slot) = self.limit.try_enter() {
            slot
        } else {
            self.breaker.check()?;
            self.limit.wait().await?
        };
        let pass = self.breaker.enter()?;
        Ok(Admitted { pass, _slot: slot })
    }
}

impl Admitted<'_> {
    /// The attempt is over, with an answer or without one.
    pub(super) fn finish(self, answered: bool) {
        self.pass.finish(answered);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Admits one request at a time, for which others wait.
    fn one_at_a_time() -> Admission {
        let mut config = Config::new("default", "t0k");
        config.max_in_flight = 1;
        config.max_wait = Duration::from_mins(1);
        Admission::new(&config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_slot_says_nothing_about_mesibo() {
        let admission = one_at_a_time();
        let _in_flight = admission.enter().await.ok().unwrap();
        for _ in 0..20 {
            let waiting = timeout(Duration::from_secs(30), admission.enter());
            assert!(waiting.await.is_err(), "the slot is taken");
        }
        assert!(!admission.breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_slot_while_the_breaker_is_open() {
        let admission = one_at_a_time();
        let _in_flight = admission.enter().await.ok().unwrap();
        while !admission.breaker.is_open() {
            admission.breaker.enter().ok().unwrap().finish(false);
        }
        let entering = timeout(Duration::from_secs(30), admission.enter());
        let held_back = entering.await.expect("it does not wait").err();
        assert!(matches!(held_back, Some(Failure::Down { .. })));
    }
}
