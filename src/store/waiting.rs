//! What the engine has taken in, and not written yet.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{
    database::{Batch, MAX_BATCH},
    queue::{ClaimJob, LookJob, SettleJob},
};

/// What is to be written, in the order in which it came.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) claims: VecDeque<ClaimJob>,
    pub(super) looks: VecDeque<LookJob>,
    pub(super) settlements: VecDeque<SettleJob>,
}

/// How many of each are in a batch, from the first on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) claims: usize,
    pub(super) looks: usize,
    pub(super) settlements: usize,
}

impl Waiting {
    pub(super) fn has_claims(&self) -> bool {
        !self.claims.is_empty() || !self.looks.is_empty()
    }

    /// Takes out the claims of calls that went away, and forgets their reads.
    pub(super) fn take_abandoned(&mut self) -> Vec<ClaimJob> {
        self.looks.retain(|look| !look.reply.is_closed());
        if !self.claims.iter().any(|claim| claim.reply.is_closed()) {
            return Vec::new();
        }
        let (abandoned, claims): (Vec<_>, _) = self
            .claims
            .drain(..)
            .partition(|claim| claim.reply.is_closed());
        self.claims = claims.into();
        abandoned
    }

    /// Forgets the settlements that were tried until their lease had passed, and says how
    /// many they were.
    pub(super) fn drop_late(&mut self, now: Instant) -> usize {
        let before = self.settlements.len();
        self.settlements
            .retain(|job| !job.is_tried || now < job.settlement.deadline);
        before - self.settlements.len()
    }

    pub(super) fn mark_tried(&mut self, sizes: Sizes, now: Instant) {
        for job in self.claims.iter_mut().take(sizes.claims) {
            job.first_try.get_or_insert(now);
        }
        for job in self.settlements.iter_mut().take(sizes.settlements) {
            job.is_tried = true;
        }
    }

    pub(super) fn batch(&self, sizes: Sizes) -> Batch<'_> {
        let claims = self.claims.iter().take(sizes.claims);
        let looks = self.looks.iter().take(sizes.looks);
        let settlements = self.settlements.iter().take(sizes.settlements);
        Batch {
            claims: claims.map(|job| &job.new).collect(),
            looks: looks.map(|job| &job.key).collect(),
            settlements: settlements.map(|job| &job.settlement).collect(),
        }
    }
}

impl Sizes {
    /// As much as goes into a batch of what may be written now.
    pub(super) fn of(waiting: &Waiting, claims: bool, settlements: bool) -> Self {
        let size = |may_be_written: bool, all: usize| {
            if may_be_written {
                all.min(MAX_BATCH)
            } else {
                0
            }
        };
        Self {
            claims: size(claims, waiting.claims.len()),
            looks: size(claims, waiting.looks.len()),
            settlements: size(settlements, waiting.settlements.len()),
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.claims + self.looks + self.settlements == 0
    }
}
