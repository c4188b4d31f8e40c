//! Writes what calls have recorded, and reads for them.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    select,
    sync::{mpsc::UnboundedReceiver, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    batch::Batch,
    handle::Handle,
    jobs::{Job, Jobs, RecordJob},
    reader,
    record::size_of,
    rows::Backend,
};
use crate::store::{
    database::{Failure, MAX_BATCH},
    observer::{DirectoryResult, Event},
    pause::Pause,
    reply::Replies,
};

/// How many rows are written together. A record with more goes alone.
const MAX_ROWS: usize = 1_024;

/// What the keeper has taken in.
struct Keeper<B> {
    backend: Arc<B>,
    handle: Handle,
    jobs: UnboundedReceiver<Job>,
    waiting: VecDeque<RecordJob>,
    pause: Pause,
    /// Whether anything waits since the database failed.
    is_behind: bool,
    /// How many records go together, after a failure that does not pass by itself.
    most: usize,
    closing: Option<(Instant, oneshot::Sender<()>)>,
}

/// Works until it is closed.
pub(in crate::store) async fn keep(backend: impl Backend, handle: Handle, jobs: Jobs) {
    let backend = Arc::new(backend);
    let mut readers = JoinSet::new();
    readers.spawn(reader::fetch(
        Arc::clone(&backend),
        handle.clone(),
        jobs.fetches,
    ));
    readers.spawn(reader::look_up(
        Arc::clone(&backend),
        handle.clone(),
        jobs.look_ups,
    ));
    let mut keeper = Keeper {
        backend,
        handle,
        jobs: jobs.records,
        waiting: VecDeque::new(),
        pause: Pause::default(),
        is_behind: false,
        most: MAX_BATCH,
        closing: None,
    };
    while keeper.collect().await {
        keeper.write().await;
    }
    readers.shutdown().await;
    if let Some((_, done)) = keeper.closing {
        let _ = done.send(());
    }
}

impl<B: Backend> Keeper<B> {
    /// Takes in what has come, and waits until there is something to write. `false` once it
    /// is closed, and all is written or given up.
    async fn collect(&mut self) -> bool {
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.take_in(job);
            }
            let now = Instant::now();
            if let Some((deadline, _)) = &self.closing
                && (self.waiting.is_empty() || now >= *deadline)
            {
                return false;
            }
            let Some(next) = self.pause.next(!self.waiting.is_empty(), now) else {
                match self.jobs.recv().await {
                    Some(job) => self.take_in(job),
                    None => return false,
                }
                continue;
            };
            if next <= now {
                return true;
            }
            select! {
                Some(job) = self.jobs.recv() => self.take_in(job),
                () = sleep_until(next) => {}
            }
        }
    }

    fn take_in(&mut self, job: Job) {
        match job {
            Job::Record(record) => self.waiting.push_back(record),
            Job::Close(deadline, done) => {
                self.jobs.close();
                self.closing = Some((deadline, done));
            }
        }
    }

    async fn write(&mut self) {
        let records = self.waiting.iter().map(|job| &job.record);
        let size = size_of(records.take(self.most), MAX_ROWS);
        let records = self.waiting.iter().map(|job| &job.record).take(size);
        let steps = Batch::steps(self.handle.statements(), records);
        let start = Instant::now();
        let result = if steps.is_empty() {
            Ok(())
        } else {
            self.backend.run(&steps).await
        };
        match result {
            Ok(()) => {
                if !steps.is_empty() {
                    self.handle.observer().observe(Event::Wrote {
                        rows: size,
                        took: start.elapsed(),
                    });
                }
                self.pause.worked("the directory");
                self.handle.progress().set_down(false);
                self.most = MAX_BATCH;
                self.end(size, DirectoryResult::Written);
                if self.is_behind && self.waiting.is_empty() {
                    self.is_behind = false;
                    tracing::info!("the directory has written what waited for it");
                }
            }
            Err(failure) => self.failed(size, &failure),
        }
    }

    /// What the database refuses by itself is lost. It is found by trying one at a time.
    fn failed(&mut self, size: usize, failure: &Failure) {
        self.handle.observer().observe(Event::Failed);
        if failure.is_of_data && size == 1 {
            tracing::error!(cause = %failure.cause, "a record of the directory is lost");
            self.end(1, DirectoryResult::Lost);
            return;
        }
        if failure.is_of_data {
            self.most = 1;
        }
        self.is_behind = true;
        self.pause.failed("the directory", failure);
        self.handle.progress().set_down(true);
    }

    fn end(&mut self, size: usize, result: DirectoryResult) {
        let mut replies = Replies::default();
        for job in self.waiting.drain(..size) {
            self.handle.observer().observe(Event::Directory(result));
            if result == DirectoryResult::Written {
                replies.add(job.written, ());
            }
        }
        self.handle.progress().end(size);
        replies.send();
    }
}
