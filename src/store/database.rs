//! What the engine asks of a database.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Fingerprint, Key, Outcome,
    ticket::{Claim, Settlement},
};

/// The most rows of a kind that are written together.
pub(super) const MAX_BATCH: usize = 256;

/// How many rows a sweep deletes at a time.
pub(super) const SWEEP_BATCH: u32 = 1_000;

/// A database that rows are written to, by one task at a time.
pub(super) trait Database {
    /// Writes settlements and claims, durably, and reads rows. A future that is dropped
    /// leaves it open what was written.
    async fn write(&mut self, batch: &Batch<'_>) -> Answers;

    /// Lets go of the database.
    async fn close(self);
}

/// Deletes what is older than the retention.
pub(super) trait Sweep: Send + 'static {
    /// Deletes up to [`SWEEP_BATCH`] rows, unless another process is at it, and says how
    /// many.
    fn sweep(&mut self) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// How many rows there are, about.
    fn rows(&mut self) -> impl Future<Output = Result<u64, Failure>> + Send;
}

/// What goes to the database together.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) claims: Vec<&'a NewClaim>,
    pub(super) settlements: Vec<&'a Settlement>,
    pub(super) looks: Vec<&'a Key>,
}

/// A row to be inserted if there is none.
#[derive(Debug)]
pub(super) struct NewClaim {
    pub(super) claim: Claim,
    pub(super) request: Fingerprint,
    pub(super) lease: Duration,
}

/// What came of a batch, in its order. Claims and reads stand or fall together, and
/// settlements do.
#[derive(Debug)]
pub(super) struct Answers {
    /// The rows there are now, for claims and then for looks.
    pub(super) seen: Result<Vec<Seen>, Failure>,
    /// Whether each settlement was written. If not, the lease had passed before.
    pub(super) settled: Result<Vec<bool>, Failure>,
}

/// A row, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Absent,
    UnderWay {
        ticket: Uuid,
        request: Fingerprint,
        /// Until the lease passes.
        left: Duration,
    },
    Settled {
        ticket: Uuid,
        request: Fingerprint,
        outcome: Outcome,
    },
}

/// Why a database did not do as it was asked.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Whether it may work in a moment, on another connection.
    pub(super) is_transient: bool,
    /// Whether it is because of what was to be written: it never works.
    pub(super) is_of_data: bool,
    /// For the log.
    pub(super) cause: Cow<'static, str>,
}

/// A row's state in the database.
pub(super) mod state {
    pub(in crate::store) const UNDER_WAY: i16 = 0;
    pub(in crate::store) const DONE: i16 = 1;
    pub(in crate::store) const UNKNOWN: i16 = 2;
}

impl Batch<'_> {
    /// The keys whose rows are read when not all claims are won.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let claims = self.claims.iter().map(|new| &new.claim.key);
        claims.chain(self.looks.iter().copied())
    }

    /// What is seen if the database inserted every claim, and there are no looks.
    pub(super) fn all_won(&self) -> Vec<Seen> {
        let claims = self.claims.iter();
        claims
            .map(|new| Seen::UnderWay {
                ticket: new.claim.ticket,
                request: new.request,
                left: new.lease,
            })
            .collect()
    }
}

impl Seen {
    /// A row of the table, or what is wrong with it.
    pub(super) fn from_row(
        ticket: Uuid,
        request: &[u8],
        state: i16,
        answer: Vec<u8>,
        left_ms: i64,
    ) -> Result<Self, &'static str> {
        let request = Fingerprint::try_from(request)
            .map_err(|_| "a fingerprint in the table claims has not 32 bytes")?;
        let answer = Bytes::from(answer);
        let outcome = match state {
            state::UNDER_WAY => {
                let left = Duration::from_millis(left_ms.try_into().unwrap_or(0));
                return Ok(Self::UnderWay {
                    ticket,
                    request,
                    left,
                });
            }
            state::DONE => Outcome::Done(answer),
            state::UNKNOWN => Outcome::Unknown(answer),
            _ => return Err("a state in the table claims is not known"),
        };
        Ok(Self::Settled {
            ticket,
            request,
            outcome,
        })
    }

    /// Whether a settlement of this claim is in force.
    pub(super) fn has(&self, settlement: &Settlement) -> bool {
        let ours = &settlement.claim.ticket;
        match (self, &settlement.outcome) {
            (Self::Absent, None) => true,
            (
                Self::Settled {
                    ticket, outcome, ..
                },
                Some(settled),
            ) => ticket == ours && outcome == settled,
            (Self::UnderWay { ticket, .. } | Self::Settled { ticket, .. }, None) => ticket != ours,
            (Self::Absent | Self::UnderWay { .. }, Some(_)) => false,
        }
    }
}

impl Outcome {
    /// Its state and its bytes in the database.
    pub(super) fn parts(&self) -> (i16, &Bytes) {
        match self {
            Self::Done(answer) => (state::DONE, answer),
            Self::Unknown(answer) => (state::UNKNOWN, answer),
        }
    }
}

impl Failure {
    pub(super) fn transient(cause: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_transient: true,
            is_of_data: false,
            cause: cause.into(),
        }
    }
}
