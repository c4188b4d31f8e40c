//! The claims of one caller.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::{Fingerprint, Outcome};

/// How many rows that have outlived the retention are forgotten with each claim: more than
/// a claim adds.
const FORGOTTEN_AT_ONCE: usize = 2;

/// The claims of one caller: another's cannot push them out.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<Name, Row>,
    /// Those that are settled, the oldest first. Calls under way are never forgotten.
    settled: VecDeque<(Instant, Name)>,
}

/// A key without its caller.
pub(super) type Name = (Arc<str>, &'static str, Uuid);

pub(super) struct Row {
    pub(super) ticket: Uuid,
    pub(super) request: Fingerprint,
    pub(super) created: Instant,
    pub(super) state: State,
}

pub(super) enum State {
    UnderWay { expires: Instant },
    Settled(Outcome),
}

impl Rows {
    /// The row, which is settled as unknown if its lease has passed.
    pub(super) fn look(&mut self, name: &Name, now: Instant, most: usize) -> Option<&Row> {
        let row = self.rows.get(name)?;
        if matches!(row.state, State::UnderWay { expires } if expires <= now) {
            self.settle(name, Outcome::Unknown(Bytes::new()), most);
        }
        self.rows.get(name)
    }

    pub(super) fn insert(&mut self, name: Name, row: Row) {
        self.rows.insert(name, row);
    }

    /// Settles or releases a claim, if it is still under way, and says whether it was.
    pub(super) fn end(
        &mut self,
        name: &Name,
        ticket: Uuid,
        outcome: Option<Outcome>,
        most: usize,
    ) -> bool {
        let is_ours = self
            .rows
            .get(name)
            .is_some_and(|row| row.ticket == ticket && matches!(row.state, State::UnderWay { .. }));
        if is_ours {
            match outcome {
                Some(outcome) => self.settle(name, outcome, most),
                None => drop(self.rows.remove(name)),
            }
        }
        is_ours
    }

    fn settle(&mut self, name: &Name, outcome: Outcome, most: usize) {
        let Some(row) = self.rows.get_mut(name) else {
            return;
        };
        row.state = State::Settled(outcome);
        self.settled.push_back((row.created, name.clone()));
        if self.settled.len() > most {
            self.forget_oldest();
        }
    }

    pub(super) fn forget(&mut self, now: Instant, retention: Duration) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.settled.front() {
                Some((created, _)) if now.duration_since(*created) >= retention => {
                    self.forget_oldest();
                }
                _ => return,
            }
        }
    }

    /// Forgets the claims for an app. Calls under way go on, and are not remembered.
    pub(super) fn forget_app(&mut self, app: &str) {
        self.rows.retain(|(of, ..), _| **of != *app);
        self.settled.retain(|(_, (of, ..))| **of != *app);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.settled.pop_front() {
            self.rows.remove(&name);
        }
    }
}
