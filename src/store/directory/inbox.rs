//! The way of records to the keeper.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

use super::{progress::Progress, record::Record};
use crate::store::{
    observer::{DirectoryResult, Event, Observer},
    reply::{self, Reply},
};

/// How many records may wait to be written.
const MAX_RECORDS: usize = 16_384;

/// How many records that gather others are enough to be written.
pub(super) const ENOUGH: u64 = 128;

/// A job for the keeper.
pub(super) enum Job {
    Record(RecordJob),
    /// A read waits for what has gone before it.
    Hurry,
    /// Nothing comes after it, and nothing is written after this time.
    Close(Instant, oneshot::Sender<()>),
}

/// A record to be written.
pub(super) struct RecordJob {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) record: Record,
    pub(super) written: Reply<()>,
    /// Whether no call waits for it, but reads do: it gathers others until one comes.
    pub(super) gathers: bool,
}

/// What calls hand to the keeper. To wake it takes longer than to hand a job over: what can
/// wait does not.
pub(super) struct Inbox {
    contents: Mutex<Contents>,
    filled: Arc<Notify>,
    places: Arc<Semaphore>,
    progress: Progress,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Contents {
    /// In the order in which they came.
    jobs: Vec<Job>,
    /// How many records that gather others have come.
    gathered: u64,
    is_closed: bool,
}

/// The keeper's end, which closes the inbox when it is dropped.
pub(super) struct Receiver(Arc<Inbox>);

impl Inbox {
    pub(super) fn new(observer: Arc<dyn Observer>) -> (Arc<Self>, Receiver) {
        let inbox = Arc::new(Self {
            contents: Mutex::default(),
            filled: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_RECORDS)),
            progress: Progress::default(),
            observer,
        });
        (Arc::clone(&inbox), Receiver(inbox))
    }

    /// Has a record written. What there is no room for is lost.
    pub(super) fn record(&self, record: Record, written: Reply<()>) {
        self.accept(record, written, false);
    }

    /// Has a record written that no call waits for, but reads do.
    pub(super) fn gather(&self, record: Record) {
        self.accept(record, reply::unawaited(), true);
    }

    fn accept(&self, record: Record, written: Reply<()>, gathers: bool) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let lost = Event::Directory(DirectoryResult::Lost);
            return self.observer.observe(lost);
        };
        let gathered = self.add(Job::Record(RecordJob {
            record,
            written,
            gathers,
            _place: place,
        }));
        // The first that gathers has the keeper set a time, and enough are written at once.
        if !gathers || matches!(self.progress.left(gathered), 1 | ENOUGH) {
            reply::wake_after_others(&self.filled);
        }
    }

    /// Tells the keeper something else.
    pub(super) fn tell(&self, job: Job) {
        self.add(job);
        self.filled.notify_one();
    }

    /// How many records wait to be written.
    pub(super) fn backlog(&self) -> usize {
        MAX_RECORDS - self.places.available_permits()
    }

    /// Resolves once what calls have not waited for is written, or cannot be for now.
    pub(super) async fn caught_up(&self) {
        let gathered = self.lock().gathered;
        if self.progress.left(gathered) > 0 {
            self.tell(Job::Hurry);
            self.progress.reaches(gathered).await;
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Adds a job, and gives how many records that gather others have come by then. Once the
    /// inbox is closed, the job is dropped.
    fn add(&self, job: Job) -> u64 {
        let mut contents = self.lock();
        if !contents.is_closed {
            let gathers = matches!(&job, Job::Record(RecordJob { gathers: true, .. }));
            contents.gathered += u64::from(gathers);
            contents.jobs.push(job);
        }
        contents.gathered
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Takes what there is.
    pub(super) fn take(&self) -> Vec<Job> {
        mem::take(&mut self.0.lock().jobs)
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.0.lock().is_closed = true;
    }

    /// Completes when there is something to look at.
    pub(super) async fn filled(&self) {
        self.0.filled.notified().await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
        drop(self.take());
    }
}
