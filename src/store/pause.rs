//! The pauses between attempts at a database that fails.

use std::time::Duration;

use tokio::time::Instant;

use super::database::Failure;

/// The longest pause before the database is tried again.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// When the database may be tried again after failures.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    /// When something may be tried.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.until.unwrap_or(now)
    }

    pub(super) fn allows(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    pub(super) fn worked(&mut self, what: &'static str) {
        if self.failures > 0 {
            tracing::info!(what, "the store's database takes writes again");
        }
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, what: &'static str, failure: &Failure) {
        if self.failures == 0 {
            tracing::warn!(what, cause = %failure.cause, "the store's database takes no writes");
        }
        let pause = Duration::from_millis(10 << self.failures.min(5)).min(MAX_PAUSE);
        self.failures += 1;
        self.until = Some(Instant::now() + pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5)));
    }
}
