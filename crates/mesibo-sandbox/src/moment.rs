//! Points in time that never overflow.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

/// A point in time, as the time since 1970. A sum that is too large for it is as
/// late as can be, where that of a `SystemTime` panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Duration);

impl Moment {
    /// The latest of all.
    pub(super) const NEVER: Self = Self(Duration::MAX);

    pub(super) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        // A clock that is set before 1970 is taken for one that stands at 1970.
        Self(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.as_secs())
    }
}
