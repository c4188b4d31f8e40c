//! A call that changes something, which goes on, detached, when its caller goes away.

use std::{future::pending, mem, pin::Pin, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    error::{Error, Failure},
    net::Progress,
    wire::{FromReply, Operation},
};

/// How long a detached write goes on.
pub(super) const MAX_DETACHED: Duration = Duration::from_secs(5);

/// A write under way. A request that was sent cannot be called back. So, when this is dropped
/// before the end, a write that was not sent ends, and one that was sent is detached: it goes
/// on for a while in a task of its own, so that its outcome becomes known and its connection
/// can be used again.
pub(super) struct DetachableWrite<'a, R: FromReply> {
    operation: Arc<Operation<R>>,
    progress: Progress,
    attempts: Attempts<R>,
    /// What is called with the outcome; `None` once it was.
    on_outcome: Option<OnOutcome<R>>,
    detached: &'a TaskTracker,
}

type Attempts<R> = Pin<Box<dyn Future<Output = Result<R, Error>> + Send>>;

type OnOutcome<R> = Box<dyn FnOnce(&Result<R, Error>) + Send>;

impl<'a, R: FromReply> DetachableWrite<'a, R> {
    /// The write that `attempts` make of an operation. Should it be detached, `detached`
    /// tracks it.
    pub(super) fn new(
        operation: Arc<Operation<R>>,
        progress: Progress,
        attempts: impl Future<Output = Result<R, Error>> + Send + 'static,
        on_outcome: impl FnOnce(&Result<R, Error>) + Send + 'static,
        detached: &'a TaskTracker,
    ) -> Self {
        Self {
            operation,
            progress,
            attempts: Box::pin(attempts),
            on_outcome: Some(Box::new(on_outcome)),
            detached,
        }
    }

    /// Waits for the end of the write, until `deadline` at the latest.
    pub(super) async fn end_by(mut self, deadline: Instant) -> Result<R, Error> {
        let Ok(result) = timeout_at(deadline, &mut self.attempts).await else {
            let sent = self.progress.give_up();
            self.abandon(Failure::OutOfTime { sent });
            let attempts = self.progress.attempts();
            return Err(Error::out_of_time(&self.operation, attempts, sent));
        };
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(&result);
        }
        result
    }

    /// Nobody waits for the write any longer. If nothing of it was sent, it failed with
    /// `unsent`.
    fn abandon(&mut self, unsent: Failure) {
        let Some(on_outcome) = self.on_outcome.take().filter(|_| !thread::panicking()) else {
            return;
        };
        if !self.progress.give_up() {
            let attempts = self.progress.attempts();
            let error = Error::new(&self.operation, attempts, unsent, None);
            return on_outcome(&Err(error));
        }
        // Without a runtime nothing can go on.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let attempts = mem::replace(&mut self.attempts, Box::pin(pending()));
        let (operation, progress) = (Arc::clone(&self.operation), self.progress.clone());
        let rest = async move {
            let result = timeout(MAX_DETACHED, attempts).await;
            let out_of_time = |_| Err(Error::out_of_time(&operation, progress.attempts(), true));
            on_outcome(&result.unwrap_or_else(out_of_time));
        };
        let rest = self.detached.track_future(rest.in_current_span());
        runtime.spawn(rest);
    }
}

impl<R: FromReply> Drop for DetachableWrite<'_, R> {
    fn drop(&mut self) {
        self.abandon(Failure::Cancelled);
    }
}
