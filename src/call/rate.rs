//! A rate: so much a second, of calls and of what they name.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

/// A rate limiter with its state. It counts in units: a call takes one, or as many as it
/// names receivers or members.
#[derive(Debug)]
pub struct Rate {
    quota: Quota,
    limiter: DefaultDirectRateLimiter,
}

/// Why a rate does not admit a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// The rate is used up; after this time the same call is admitted, if no other comes
    /// first.
    For(Duration),
    /// The call takes more units than the rate ever has at once: it is never admitted.
    Forever {
        /// How many units the rate has at the most.
        burst: u32,
    },
}

impl Rate {
    /// A limit of `per_second` units a second, and of `burst` units at once. `None` if
    /// the interval between two units is shorter than a nanosecond or longer than 136
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

    /// Admits a call that takes so many units: all of them, or none.
    ///
    /// # Errors
    ///
    /// If the rate does not have them now, or never has.
    pub fn take(&self, units: NonZeroU32) -> Result<(), Exceeded> {
        let burst = self.quota.burst_size().get();
        match self.limiter.check_n(units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(Exceeded::For(
                not_until.wait_time_from(DefaultClock::default().now()),
            )),
            Err(_) => Err(Exceeded::Forever { burst }),
        }
    }

    /// Admits a call that takes so many units, and has taken the first of them already.
    ///
    /// # Errors
    ///
    /// As with [`Self::take`]. The first unit stays taken, and a repeat of the call takes
    /// it again, for which the time to wait allows.
    pub fn take_rest(&self, units: NonZeroU32) -> Result<(), Exceeded> {
        let burst = self.quota.burst_size();
        if units > burst {
            return Err(Exceeded::Forever { burst: burst.get() });
        }
        let Some(rest) = NonZeroU32::new(units.get() - 1) else {
            return Ok(());
        };
        self.take(rest).map_err(|exceeded| match exceeded {
            Exceeded::For(wait) => Exceeded::For(wait + self.quota.replenish_interval()),
            Exceeded::Forever { .. } => exceeded,
        })
    }

    /// Whether both have the same limit.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.quota == other.quota
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: u32) -> NonZeroU32 {
        NonZeroU32::new(units).unwrap()
    }

    #[test]
    fn a_rate_has_no_more_than_its_burst_whatever_a_call_takes() {
        let rate = Rate::new(0.001, units(10)).unwrap();
        assert_eq!(rate.take(units(11)), Err(Exceeded::Forever { burst: 10 }));
        rate.take(units(7)).unwrap();
        assert!(matches!(rate.take(units(4)), Err(Exceeded::For(_))));
        // What was refused took nothing.
        rate.take(units(3)).unwrap();
        assert!(matches!(rate.take(units(1)), Err(Exceeded::For(_))));
    }

    #[test]
    fn a_call_of_a_whole_burst_is_admitted_in_two_parts_and_a_larger_one_is_not() {
        let rate = Rate::new(0.001, units(10)).unwrap();
        rate.take(units(1)).unwrap();
        let forever = Err(Exceeded::Forever { burst: 10 });
        assert_eq!(rate.take_rest(units(11)), forever);
        rate.take_rest(units(10)).unwrap();
        // A call of one unit has no rest.
        rate.take_rest(units(1)).unwrap();
    }

    #[test]
    fn the_time_to_wait_allows_for_the_first_unit_of_a_repeat() {
        let rate = Rate::new(1.0, units(4)).unwrap();
        rate.take(units(4)).unwrap();
        let Err(Exceeded::For(wait)) = rate.take_rest(units(4)) else {
            panic!("nothing is left");
        };
        // Three units for the rest, and one for the first.
        let expected = Duration::from_millis(3900)..=Duration::from_secs(4);
        assert!(expected.contains(&wait), "{wait:?}");
    }
}
