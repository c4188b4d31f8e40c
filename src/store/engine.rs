//! Writes what waits in the queue: what comes while the database is at work goes
//! together in the next batch.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{mpsc::UnboundedReceiver, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    Claimed, Error,
    database::{Database, Failure, Seen},
    observer::{Event, SettleResult},
    pause::Pause,
    queue::{ClaimJob, Job, Queue},
    reply::{self, Replies},
    signals::Signals,
    ticket::{Settlement, Sink, Ticket},
    waiting::{Sizes, Waiting},
};

/// The one task that writes to a database.
pub(super) struct Engine<D> {
    database: D,
    jobs: UnboundedReceiver<Job>,
    queue: Arc<Queue>,
    signals: Arc<Signals>,
    timeout: Duration,
    waiting: Waiting,
    claims_pause: Pause,
    settlements_pause: Pause,
    closing: Option<Closing>,
}

struct Closing {
    deadline: Instant,
    done: oneshot::Sender<()>,
}

impl<D: Database> Engine<D> {
    pub(super) fn new(
        database: D,
        jobs: UnboundedReceiver<Job>,
        queue: Arc<Queue>,
        signals: Arc<Signals>,
        timeout: Duration,
    ) -> Self {
        Self {
            database,
            jobs,
            queue,
            signals,
            timeout,
            waiting: Waiting::default(),
            claims_pause: Pause::default(),
            settlements_pause: Pause::default(),
            closing: None,
        }
    }

    /// Works until it is closed.
    pub(super) async fn run(mut self) {
        while self.collect().await {
            self.drop_hopeless();
            self.write().await;
        }
        self.database.close().await;
        if let Some(closing) = self.closing {
            let _ = closing.done.send(());
        }
    }

    /// Takes in what has come, and waits until there is something to write. `false` once
    /// the engine is closed, and all is written or given up.
    async fn collect(&mut self) -> bool {
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.take_in(job);
            }
            let now = Instant::now();
            if let Some(closing) = &self.closing
                && (self.waiting.settlements.is_empty() || now >= closing.deadline)
            {
                return false;
            }
            let claims = self.waiting.has_claims();
            let settlements = !self.waiting.settlements.is_empty();
            let next = [
                claims.then(|| self.claims_pause.next(now)),
                settlements.then(|| self.settlements_pause.next(now)),
            ];
            let Some(next) = next.into_iter().flatten().min() else {
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
            Job::Claim(claim) => self.waiting.claims.push_back(claim),
            Job::Look(look) => self.waiting.looks.push_back(look),
            Job::Settle(settlement) => self.waiting.settlements.push_back(settlement),
            Job::Close(done) => {
                self.jobs.close();
                self.closing = Some(Closing {
                    deadline: Instant::now() + self.timeout,
                    done,
                });
            }
        }
    }

    /// Calls that went away, and settlements whose lease has passed.
    fn drop_hopeless(&mut self) {
        for claim in self.waiting.take_abandoned() {
            self.give_up(claim);
        }
        for _ in 0..self.waiting.drop_late(Instant::now()) {
            self.queue
                .observer
                .observe(Event::Settled(SettleResult::Lost));
        }
    }

    /// Nothing is sent for a claim that is not answered. If it was tried, it may have been
    /// written all the same.
    fn give_up(&self, job: ClaimJob) {
        if let Some(first_try) = job.first_try {
            self.queue.settle(Settlement {
                claim: job.new.claim,
                deadline: first_try + job.new.lease,
                outcome: None,
                written: reply::unawaited(),
            });
        }
    }

    async fn write(&mut self) {
        let now = Instant::now();
        let sizes = Sizes::of(
            &self.waiting,
            self.claims_pause.allows(now),
            self.settlements_pause.allows(now),
        );
        if sizes.is_empty() {
            return;
        }
        self.waiting.mark_tried(sizes, now);
        let batch = self.waiting.batch(sizes);
        let answers = self.database.write(&batch).await;
        self.queue.observer.observe(Event::Wrote {
            rows: sizes.claims + sizes.settlements,
            took: now.elapsed(),
        });
        let mut replies = Replies::default();
        if sizes.settlements > 0 {
            self.settled(sizes, answers.settled, &mut replies);
        }
        if sizes.claims + sizes.looks > 0 {
            self.seen(sizes, answers.seen, &mut replies);
        }
        replies.send();
    }

    fn settled(&mut self, sizes: Sizes, answer: Result<Vec<bool>, Failure>, to: &mut Replies) {
        let written = match answer {
            Ok(written) => written,
            Err(failure) => {
                self.queue.observer.observe(Event::Failed);
                self.settlements_pause.failed("settlements", &failure);
                return;
            }
        };
        self.settlements_pause.worked("settlements");
        for (job, is_written) in self
            .waiting
            .settlements
            .drain(..sizes.settlements)
            .zip(written)
        {
            self.signals.wake(&job.settlement.claim.key.id);
            let result = if is_written {
                SettleResult::Written
            } else {
                SettleResult::TooLate
            };
            self.queue.observer.observe(Event::Settled(result));
            to.add(job.settlement.written, is_written);
        }
    }

    fn seen(&mut self, sizes: Sizes, answer: Result<Vec<Seen>, Failure>, to: &mut Replies) {
        let seen = match answer {
            Ok(seen) => seen,
            Err(failure) => {
                self.queue.observer.observe(Event::Failed);
                self.claims_pause.failed("claims", &failure);
                if !failure.is_transient {
                    self.refuse(sizes);
                }
                return;
            }
        };
        self.claims_pause.worked("claims");
        let mut seen = seen.into_iter();
        for _ in 0..sizes.claims {
            if let (Some(job), Some(seen)) = (self.waiting.claims.pop_front(), seen.next()) {
                self.answer(job, seen, to);
            }
        }
        for (job, seen) in self.waiting.looks.drain(..sizes.looks).zip(seen) {
            to.add(job.reply, Ok(seen));
        }
    }

    fn answer(&mut self, job: ClaimJob, seen: Seen, to: &mut Replies) {
        let claimed = match seen {
            Seen::UnderWay { ticket, .. } if ticket == job.new.claim.ticket => {
                let start = job.first_try.unwrap_or_else(Instant::now);
                let sink = Arc::clone(&self.queue) as Arc<dyn Sink>;
                Claimed::Won(Ticket::new(job.new.claim, start + job.new.lease, sink))
            }
            Seen::UnderWay { request, .. } => Claimed::UnderWay { request },
            Seen::Settled {
                request, outcome, ..
            } => Claimed::Settled { request, outcome },
            // Released since it was found taken: it may be free now.
            Seen::Absent => return self.waiting.claims.push_back(job),
        };
        // A ticket that its call no longer takes releases its claim.
        to.add(job.reply, Ok(claimed));
    }

    fn refuse(&mut self, sizes: Sizes) {
        for job in self.waiting.looks.drain(..sizes.looks) {
            job.reply.send(Err(Error::UNAVAILABLE));
        }
        for _ in 0..sizes.claims {
            if let Some(mut job) = self.waiting.claims.pop_front() {
                let reply = mem::replace(&mut job.reply, reply::unawaited());
                self.give_up(job);
                reply.send(Err(Error::UNAVAILABLE));
            }
        }
    }
}
