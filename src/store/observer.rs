//! What a store reports about itself, for metrics.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use super::{Claimed, Error};

/// Takes a store's reports. Called from the store's own thread and from those that use
/// it: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: Event);
}

/// An observer that drops every report.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

/// What happened in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A claim was answered.
    Claimed {
        /// How.
        result: ClaimResult,
        /// The time that it took, waiting in the queue included.
        took: Duration,
    },
    /// A settlement came to its end.
    Settled(SettleResult),
    /// The database answered to claims and settlements that were written together.
    Wrote {
        /// How many of both.
        rows: usize,
        /// The time that it took.
        took: Duration,
    },
    /// The database failed; what was to be written is tried again within its time limit.
    Failed,
    /// Rows that are older than the retention were deleted.
    Swept {
        /// How many.
        rows: u64,
    },
    /// How many rows there are, as the database estimates.
    Rows(u64),
    /// A record of the directory came to its end.
    Directory(DirectoryResult),
}

/// How a claim was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimResult {
    /// The id was free.
    Won,
    /// A call with the id is under way.
    UnderWay,
    /// A call with the id was made before.
    Settled,
    /// The database did not answer in time.
    Unavailable,
    /// The queue was full.
    Overloaded,
}

/// What came of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleResult {
    /// It was written.
    Written,
    /// The lease had passed, and the call was settled as unknown before.
    TooLate,
    /// It could not be written before the lease passed, or too many waited: the call will
    /// be settled as unknown.
    Lost,
}

/// What came of a record of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectoryResult {
    /// It was written.
    Written,
    /// Too many waited, or the database refused it for good.
    Lost,
}

impl Observer for NoObserver {
    fn observe(&self, _: Event) {}
}

impl ClaimResult {
    /// Every result.
    pub const ALL: [Self; 5] = [
        Self::Won,
        Self::UnderWay,
        Self::Settled,
        Self::Unavailable,
        Self::Overloaded,
    ];

    /// The name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::UnderWay => "under_way",
            Self::Settled => "settled",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
        }
    }

    pub(super) fn of(answer: &Result<Claimed, Error>) -> Self {
        match answer {
            Ok(Claimed::Won(_)) => Self::Won,
            Ok(Claimed::UnderWay { .. }) => Self::UnderWay,
            Ok(Claimed::Settled { .. }) => Self::Settled,
            Err(Error::Unavailable { .. }) => Self::Unavailable,
            Err(Error::Overloaded { .. }) => Self::Overloaded,
        }
    }
}

impl SettleResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Written, Self::TooLate, Self::Lost];

    /// The name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::TooLate => "too_late",
            Self::Lost => "lost",
        }
    }
}

impl DirectoryResult {
    /// Every result.
    pub const ALL: [Self; 2] = [Self::Written, Self::Lost];

    /// The name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Lost => "lost",
        }
    }
}

impl EncodeLabelValue for DirectoryResult {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(self.name())
    }
}

impl EncodeLabelValue for ClaimResult {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(self.name())
    }
}

impl EncodeLabelValue for SettleResult {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(self.name())
    }
}
