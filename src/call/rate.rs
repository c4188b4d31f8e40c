//! A rate of calls a second.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

/// A rate limiter with its state.
#[derive(Debug)]
pub struct Rate {
    quota: Quota,
    limiter: DefaultDirectRateLimiter,
}

impl Rate {
    /// A limit of `per_second` calls a second, and of `burst` calls at once. `None` if
    /// the interval between two calls is shorter than a nanosecond or longer than 136
    /// years.
    #[must_use]
    pub fn new(per_second: f64, burst: NonZeroU32) -> Option<Self> {
        let period = Duration::try_from_secs_f64(per_second.recip()).ok()?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        Some(Self {
            quota,
            limiter: DefaultDirectRateLimiter::direct(quota),
        })
    }

    /// Admits a call.
    ///
    /// # Errors
    ///
    /// If the limit is reached, with the time after which a call may be tried again.
    pub fn take(&self) -> Result<(), Duration> {
        self.limiter
            .check()
            .map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Whether both have the same limit.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.quota == other.quota
    }
}
