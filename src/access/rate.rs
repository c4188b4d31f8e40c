//! How many calls a second there may be.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

/// A rate, and how far it is used up. Clones would share nothing, so there are none.
#[derive(Debug)]
pub struct Rate {
    quota: Quota,
    limiter: DefaultDirectRateLimiter,
}

impl Rate {
    /// So many calls a second, and a burst of so many at once. `None` if a second has
    /// more calls than nanoseconds, or fewer than one in 136 years.
    #[must_use]
    pub fn new(per_second: f64, burst: NonZeroU32) -> Option<Self> {
        let period = Duration::try_from_secs_f64(per_second.recip()).ok()?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        Some(Self {
            quota,
            limiter: DefaultDirectRateLimiter::direct(quota),
        })
    }

    /// Takes a call on.
    ///
    /// # Errors
    ///
    /// If there are too many, with the time after which it may be tried again.
    pub fn take(&self) -> Result<(), Duration> {
        self.limiter
            .check()
            .map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Whether both are of the same numbers.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.quota == other.quota
    }
}
