//! Time: moments that never overflow, and the clock of a world.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A point in time between the years -9999 and 9999. A sum that falls outside is the
/// nearest moment inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(Timestamp);

impl Moment {
    /// The latest moment there is: the end of the year 9999.
    pub(crate) const NEVER: Self = Self(Timestamp::MAX);

    /// The present, by the clock of the machine.
    pub(crate) fn now() -> Self {
        SystemTime::now().into()
    }

    /// Reads an RFC 3339 time.
    pub(crate) fn parse(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        self.moved(wait)
    }

    fn moved(self, by: SignedDuration) -> Self {
        let bound = if by.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Self(self.0.checked_add(by).unwrap_or(bound))
    }

    fn since(self, earlier: Self) -> SignedDuration {
        self.0.duration_since(earlier.0)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

/// The clock of a world. It runs with the machine's clock, moved by an offset, or stands
/// still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Clock {
    /// How far the clock is ahead of the machine's.
    Running { offset: SignedDuration },
    /// The time at which the clock stands.
    Frozen { at: Moment },
}

impl Default for Clock {
    fn default() -> Self {
        Self::Running {
            offset: SignedDuration::ZERO,
        }
    }
}

impl Clock {
    /// The world's time, when the machine's clock shows `system`.
    pub(crate) fn read(self, system: Moment) -> Moment {
        match self {
            Self::Running { offset } => system.moved(offset),
            Self::Frozen { at } => at,
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        match self {
            Self::Running { offset } => {
                let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
                *offset = offset.saturating_add(by);
            }
            Self::Frozen { at } => *at = at.after(by),
        }
    }

    /// Makes it show `time` when the machine's clock shows `system`.
    pub(crate) fn set(&mut self, time: Moment, system: Moment) {
        match self {
            Self::Running { offset } => *offset = time.since(system),
            Self::Frozen { at } => *at = time,
        }
    }

    pub(crate) fn freeze(&mut self, system: Moment) {
        *self = Self::Frozen {
            at: self.read(system),
        };
    }

    /// Lets it run on from where it stands.
    pub(crate) fn run(&mut self, system: Moment) {
        *self = Self::Running {
            offset: self.read(system).since(system),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment(Timestamp::from_second(seconds).unwrap())
    }

    #[test]
    fn a_running_clock_keeps_its_distance_and_a_frozen_one_its_time() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(at(100)), at(100));
        clock.advance(Duration::from_mins(1));
        assert_eq!(clock.read(at(110)), at(170));
        clock.freeze(at(110));
        assert_eq!(clock.read(at(500)), at(170));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.read(at(500)), at(171));
        clock.run(at(500));
        assert_eq!(clock.read(at(501)), at(172));
        clock.set(at(5), at(501));
        assert_eq!(clock.read(at(502)), at(6));
    }

    #[test]
    fn a_sum_too_large_for_a_moment_is_the_latest_one() {
        assert_eq!(at(0).after(Duration::MAX), Moment::NEVER);
        let mut clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.read(at(0)), Moment::NEVER);
    }
}
