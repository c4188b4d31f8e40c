//! Writes what calls have recorded, and reads for them.

use std::sync::Arc;

use tokio::{
    select,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    batch::Batch,
    handle::Handle,
    inbox::{Job, Receiver},
    jobs::Jobs,
    reader,
    rows::Backend,
    waiting::{Waiting, Waits},
};
use crate::store::{
    database::{Failure, MAX_BATCH},
    observer::{DirectoryResult, Event},
    pause::Pause,
    reply::Replies,
};

/// What the keeper has taken in.
struct Keeper<B> {
    backend: Arc<B>,
    handle: Handle,
    jobs: Receiver,
    waiting: Waiting,
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
        waiting: Waiting::default(),
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
            let jobs = self.jobs.take();
            if !jobs.is_empty() {
                for job in jobs {
                    self.take_in(job);
                }
                continue;
            }
            let now = Instant::now();
            if let Some((deadline, _)) = &self.closing {
                if self.waiting.is_empty() || now >= *deadline {
                    return false;
                }
                self.waiting.hurry();
            }
            let due = self.waiting.due(now);
            let Some(next) = due.map(|due| due.max(self.pause.next(now))) else {
                self.jobs.filled().await;
                continue;
            };
            if next <= now {
                return true;
            }
            select! {
                () = self.jobs.filled() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn take_in(&mut self, job: Job) {
        match job {
            Job::Record(record) => self.waiting.add(record),
            Job::Hurry => self.waiting.hurry(),
            Job::Close(deadline, done) => {
                self.jobs.close();
                self.closing = Some((deadline, done));
            }
        }
    }

    async fn write(&mut self) {
        let batch = self.waiting.take(self.most, Instant::now());
        let records = batch.iter().map(|waits| &waits.job.record);
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
                        rows: batch.len(),
                        took: start.elapsed(),
                    });
                }
                self.pause.worked("the directory");
                self.handle.progress().set_down(false);
                self.most = MAX_BATCH;
                self.end(batch, DirectoryResult::Written);
                if self.is_behind && self.waiting.is_empty() {
                    self.is_behind = false;
                    tracing::info!("the directory has written what waited for it");
                }
            }
            Err(failure) => self.failed(batch, &failure),
        }
    }

    /// What the database refuses by itself is lost. It is found by trying one at a time.
    fn failed(&mut self, batch: Vec<Waits>, failure: &Failure) {
        self.handle.observer().observe(Event::Failed);
        if failure.is_of_data && batch.len() == 1 {
            tracing::error!(cause = %failure.cause, "a record of the directory is lost");
            self.end(batch, DirectoryResult::Lost);
            return;
        }
        if failure.is_of_data {
            self.most = 1;
        }
        self.waiting.put_back(batch);
        self.is_behind = true;
        self.pause.failed("the directory", failure);
        self.handle.progress().set_down(true);
    }

    fn end(&mut self, batch: Vec<Waits>, result: DirectoryResult) {
        let mut replies = Replies::default();
        let mut held = 0;
        for Waits { job, .. } in batch {
            self.handle.observer().observe(Event::Directory(result));
            held += usize::from(job.gathers);
            if result == DirectoryResult::Written {
                replies.add(job.written, ());
            }
        }
        self.handle.progress().end(held);
        replies.send();
    }
}
