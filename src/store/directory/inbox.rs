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
    /// Whether the keeper waits for something to come. Otherwise it looks by itself.
    is_awaited: bool,
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
        let mut contents = self.lock();
        contents.add(Job::Record(RecordJob {
            record,
            written,
            gathers,
            _place: place,
        }));
        // The first that gathers has the keeper set a time, and enough are written at once.
        let is_urgent = !gathers || matches!(self.progress.left(contents.gathered), 1 | ENOUGH);
        let wakes = is_urgent && mem::take(&mut contents.is_awaited);
        drop(contents);
        if wakes {
            reply::wake_after_others(&self.filled);
        }
    }

    /// Tells the keeper something else.
    pub(super) fn tell(&self, job: Job) {
        self.lock().add(job);
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

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// Adds a job. Once the inbox is closed, the job is dropped.
    fn add(&mut self, job: Job) {
        if !self.is_closed {
            let gathers = matches!(&job, Job::Record(RecordJob { gathers: true, .. }));
            self.gathered += u64::from(gathers);
            self.jobs.push(job);
        }
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
        let is_empty = {
            let mut contents = self.0.lock();
            contents.is_awaited = contents.jobs.is_empty();
            contents.is_awaited
        };
        if is_empty {
            self.0.filled.notified().await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::store::observer::NoObserver;

    #[test]
    fn the_keeper_is_woken_when_it_waits_and_looks_by_itself_when_it_is_at_work() {
        let (inbox, receiver) = Inbox::new(Arc::new(NoObserver));
        let record = || {
            let (app, uid) = ("shop".into(), 7);
            inbox.record(Record::MissedUser { app, uid }, reply::unawaited());
        };
        let is_woken = || inbox.filled.notified().now_or_never().is_some();

        let mut filled = pin!(receiver.filled());
        assert!(filled.as_mut().now_or_never().is_none());
        record();
        assert!(filled.now_or_never().is_some());

        record();
        record();
        assert!(!is_woken(), "it has not waited since");
        assert!(receiver.filled().now_or_never().is_some());
        assert_eq!(receiver.take().len(), 3);
        assert!(receiver.filled().now_or_never().is_none());
    }
}
