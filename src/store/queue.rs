//! What waits to be written, in the order in which it came, and how much of it there may
//! be.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use ring::rand::{SystemRandom, generate};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Backlog, Claimed, Error, Key,
    database::{NewClaim, Seen},
    observer::{Event, Observer, SettleResult},
    reply::{self, Reply},
    ticket::{Settlement, Sink},
};

/// How many claims and reads may wait.
const MAX_CLAIMS: usize = 4_096;

/// How many settlements may wait: those of a full queue of claims, several times over.
const MAX_SETTLEMENTS: usize = 16_384;

/// The way from the calls to the engine.
pub(super) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    claims: Arc<AtomicUsize>,
    settlements: Arc<AtomicUsize>,
    pub(super) tickets: Tickets,
    pub(super) observer: Arc<dyn Observer>,
}

/// Makes the names of claims.
pub(super) struct Tickets {
    /// Random to the process.
    process: u64,
    next: AtomicU64,
}

pub(super) enum Job {
    Claim(ClaimJob),
    Look(LookJob),
    Settle(SettleJob),
    /// Nothing comes after it.
    Close(oneshot::Sender<()>),
}

pub(super) struct ClaimJob {
    _place: Place,
    pub(super) new: NewClaim,
    pub(super) reply: Reply<Result<Claimed, Error>>,
    /// When it was first about to be written.
    pub(super) first_try: Option<Instant>,
}

pub(super) struct LookJob {
    _place: Place,
    pub(super) key: Key,
    pub(super) reply: Reply<Result<Seen, Error>>,
}

pub(super) struct SettleJob {
    _place: Place,
    pub(super) settlement: Settlement,
    pub(super) is_tried: bool,
}

/// A place in the queue, given up when it is dropped: the first field of a job, so that
/// it is free before the job's end can be known.
struct Place(Arc<AtomicUsize>);

impl Queue {
    pub(super) fn new(observer: Arc<dyn Observer>) -> (Self, mpsc::UnboundedReceiver<Job>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let queue = Self {
            jobs,
            claims: Arc::default(),
            settlements: Arc::default(),
            tickets: Tickets::new(),
            observer,
        };
        (queue, receiver)
    }

    pub(super) fn claim(
        &self,
        new: NewClaim,
    ) -> Result<oneshot::Receiver<Result<Claimed, Error>>, Error> {
        let place = Place::take(&self.claims, MAX_CLAIMS).ok_or(Error::OVERLOADED)?;
        let (reply, answer) = reply::channel();
        self.send(Job::Claim(ClaimJob {
            new,
            reply,
            first_try: None,
            _place: place,
        }));
        Ok(answer)
    }

    pub(super) fn look(&self, key: Key) -> Result<oneshot::Receiver<Result<Seen, Error>>, Error> {
        let place = Place::take(&self.claims, MAX_CLAIMS).ok_or(Error::OVERLOADED)?;
        let (reply, answer) = reply::channel();
        self.send(Job::Look(LookJob {
            key,
            reply,
            _place: place,
        }));
        Ok(answer)
    }

    pub(super) fn close(&self) -> oneshot::Receiver<()> {
        let (reply, closed) = oneshot::channel();
        self.send(Job::Close(reply));
        closed
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            claims: self.claims.load(Ordering::Relaxed),
            settlements: self.settlements.load(Ordering::Relaxed),
            records: 0,
        }
    }

    /// After the engine's end the job is dropped, which its reply channel tells.
    fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

impl Sink for Queue {
    fn settle(&self, settlement: Settlement) {
        match Place::take(&self.settlements, MAX_SETTLEMENTS) {
            Some(place) => self.send(Job::Settle(SettleJob {
                settlement,
                is_tried: false,
                _place: place,
            })),
            None => self.observer.observe(Event::Settled(SettleResult::Lost)),
        }
    }
}

impl Tickets {
    pub(super) fn new() -> Self {
        let process = generate::<[u8; 8]>(&SystemRandom::new())
            .expect("the system's source of randomness does not fail once the process runs");
        Self {
            process: u64::from_ne_bytes(process.expose()),
            next: AtomicU64::new(0),
        }
    }

    /// A name that no other claim has.
    pub(super) fn next(&self) -> Uuid {
        Uuid::from_u64_pair(self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Place {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        // Counted first, so that no two take the last.
        let place = Self(Arc::clone(taken));
        let before = taken.fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
