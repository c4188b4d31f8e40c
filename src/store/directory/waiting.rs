//! The records that wait to be written, and which of them go next.

use std::{collections::VecDeque, time::Duration};

use hashbrown::{DefaultHashBuilder, HashSet};
use tokio::time::Instant;

use super::inbox::{ENOUGH, RecordJob};

/// For how long records that no call waits for gather others. What is not written when the
/// process is killed is looked up at Mesibo, and this is how much that can be.
const GATHERING: Duration = Duration::from_millis(20);

/// How many rows are written together. A record with more goes alone.
const MAX_ROWS: usize = 1_024;

/// The records. Those of an entry are written in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    due: VecDeque<Waits>,
    /// They come after all that are due.
    gathering: VecDeque<Waits>,
    /// What is about the same as one of these ends the gathering.
    gathered: HashSet<u64>,
    /// Until when they gather.
    until: Option<Instant>,
    hashes: DefaultHashBuilder,
}

/// A record that waits.
pub(super) struct Waits {
    pub(super) job: RecordJob,
    /// What it is about, as hashes.
    subjects: Vec<u64>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.gathering.is_empty()
    }

    pub(super) fn add(&mut self, job: RecordJob) {
        let subjects = job.record.subjects(&self.hashes);
        if job.gathers {
            self.until.get_or_insert_with(|| Instant::now() + GATHERING);
            self.gathered.extend(&subjects);
            self.gathering.push_back(Waits { job, subjects });
            if self.gathering.len() as u64 >= ENOUGH {
                self.hurry();
            }
        } else {
            if subjects.iter().any(|it| self.gathered.contains(it)) {
                self.hurry();
            }
            self.due.push_back(Waits { job, subjects });
        }
    }

    /// Ends the gathering of all that waits.
    pub(super) fn hurry(&mut self) {
        self.due.append(&mut self.gathering);
        self.gathered.clear();
        self.until = None;
    }

    /// When something is to be written, if something waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.due.is_empty() {
            self.until
        } else {
            Some(now)
        }
    }

    /// Takes records that can be written together, at most so many. Those of the same entry
    /// cannot: the second needs what the first has written.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Vec<Waits> {
        if self.until.is_some_and(|until| until <= now) {
            self.hurry();
        }
        let mut taken = Vec::new();
        let mut subjects = HashSet::<u64>::with_capacity(self.due.len());
        let mut rows = 0;
        while let Some(waits) = self.due.pop_front() {
            rows += waits.job.record.rows();
            let fits = taken.is_empty() || taken.len() < most && rows <= MAX_ROWS;
            if !fits || waits.subjects.iter().any(|it| subjects.contains(it)) {
                self.due.push_front(waits);
                break;
            }
            subjects.extend(&waits.subjects);
            taken.push(waits);
        }
        taken
    }

    /// Gives back what could not be written.
    pub(super) fn put_back(&mut self, taken: Vec<Waits>) {
        for waits in taken.into_iter().rev() {
            self.due.push_front(waits);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{sync::Semaphore, time::advance};

    use super::*;
    use crate::store::{
        directory::{
            record::Record,
            write::{Fate, Recorded, Write},
        },
        reply,
    };

    fn recorded(write: Write) -> Recorded {
        Recorded {
            app: "shop".into(),
            ticket: 1,
            write: Arc::new(write),
            is_late: false,
        }
    }

    fn create(address: &str) -> Recorded {
        recorded(Write::CreateUser {
            address: address.into(),
            name: None,
            active: None,
        })
    }

    fn begin(recorded: Recorded) -> Record {
        Record::Begin { recorded, lease: 0 }
    }

    fn end(recorded: Recorded, uid: u64) -> Record {
        let fate = Fate::Done { id: Some(uid) };
        Record::End { recorded, fate }
    }

    fn add(to: &mut Waiting, record: Record, gathers: bool) {
        let places = Arc::new(Semaphore::new(1));
        to.add(RecordJob {
            _place: places.try_acquire_owned().unwrap(),
            record,
            written: reply::unawaited(),
            gathers,
        });
    }

    /// Takes what is due, and gives how many records that are, and whether intents are first.
    fn take(from: &mut Waiting) -> (usize, bool) {
        let taken = from.take(MAX_ROWS, Instant::now());
        let is_intent = matches!(taken[0].job.record, Record::Begin { .. });
        (taken.len(), is_intent)
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_call_waits_for_gathers_until_its_time_is_over() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.due(Instant::now()), None);
        let start = Instant::now();
        add(&mut waiting, end(create("a"), 1), true);
        advance(GATHERING / 2).await;
        add(&mut waiting, end(create("b"), 2), true);
        assert_eq!(waiting.due(Instant::now()), Some(start + GATHERING));
        // An intent does not wait, and takes nothing along that has time.
        add(&mut waiting, begin(create("c")), false);
        assert_eq!(waiting.due(Instant::now()), Some(Instant::now()));
        assert_eq!(take(&mut waiting), (1, true));
        assert_eq!(waiting.due(Instant::now()), Some(start + GATHERING));
        advance(GATHERING / 2).await;
        add(&mut waiting, begin(create("d")), false);
        assert_eq!(take(&mut waiting), (3, true));
        assert!(waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn enough_of_it_does_not_wait_and_neither_does_what_a_read_waits_for() {
        let mut waiting = Waiting::default();
        for user in 1..ENOUGH {
            add(&mut waiting, end(create(&user.to_string()), user), true);
        }
        let now = Instant::now();
        assert_eq!(waiting.due(now), Some(now + GATHERING));
        add(&mut waiting, end(create("last"), 0), true);
        assert_eq!(waiting.due(now), Some(now));
        assert_eq!(waiting.take(MAX_ROWS, now).len() as u64, ENOUGH);

        add(&mut waiting, end(create("a"), 1), true);
        waiting.hurry();
        assert_eq!(waiting.due(now), Some(now));
        assert_eq!(take(&mut waiting), (1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn records_of_one_entry_keep_their_order() {
        let mut waiting = Waiting::default();
        add(&mut waiting, end(create("a"), 7), true);
        add(&mut waiting, begin(create("b")), false);
        add(
            &mut waiting,
            begin(recorded(Write::DeleteUser { uid: 7 })),
            false,
        );
        // The deletion needs the uid that is only now written.
        let taken = waiting.take(MAX_ROWS, Instant::now());
        let is_intent = |waits: &Waits| matches!(waits.job.record, Record::Begin { .. });
        let kinds: Vec<_> = taken.iter().map(is_intent).collect();
        assert_eq!(kinds, [true, false]);
        waiting.put_back(taken);
        assert_eq!(take(&mut waiting), (2, true));
        assert_eq!(take(&mut waiting), (1, true));
        assert!(waiting.is_empty());
    }
}
