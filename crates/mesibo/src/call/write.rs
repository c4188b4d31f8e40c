//! A call that changes something, and what becomes of it once nobody waits any longer.

use std::{future::pending, mem, pin::Pin, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument as _;

use super::progress::{Progress, out_of_time};
use crate::{
    error::Error,
    wire::{operation::Operation, reply::FromReply},
};

/// How long a write that was sent goes on without anybody who waits for it.
const RUN_ON: Duration = Duration::from_secs(5);

/// A write under way. What is on the wire cannot be called back: dropped before its end, it
/// ends unsent, or else goes on by itself for a while, so that its outcome becomes known
/// and its connection can be used again.
pub(super) struct Write<R: FromReply> {
    operation: Arc<Operation<R>>,
    progress: Progress,
    attempts: Pin<Box<dyn Future<Output = Result<R, Error>> + Send>>,
    /// Who is to learn the outcome; none once it did.
    learn: Option<Learn<R>>,
}

type Learn<R> = Box<dyn FnOnce(&Result<R, Error>) + Send>;

impl<R: FromReply> Write<R> {
    /// The write that `attempts` make of an operation. `learn` is told what became of it.
    pub(super) fn new(
        operation: Arc<Operation<R>>,
        progress: Progress,
        attempts: impl Future<Output = Result<R, Error>> + Send + 'static,
        learn: impl FnOnce(&Result<R, Error>) + Send + 'static,
    ) -> Self {
        Self {
            operation,
            progress,
            attempts: Box::pin(attempts),
            learn: Some(Box::new(learn)),
        }
    }

    /// Waits for its end, until `deadline` at the latest.
    pub(super) async fn end_by(mut self, deadline: Instant) -> Result<R, Error> {
        match timeout_at(deadline, &mut self.attempts).await {
            Ok(result) => {
                if let Some(learn) = self.learn.take() {
                    learn(&result);
                }
                result
            }
            Err(_) => Err(out_of_time(&self.operation, &self.progress)),
        }
    }
}

impl<R: FromReply> Drop for Write<R> {
    fn drop(&mut self) {
        let Some(learn) = self.learn.take().filter(|_| !thread::panicking()) else {
            return;
        };
        if !self.progress.give_up() {
            return learn(&Err(out_of_time(&self.operation, &self.progress)));
        }
        // Without a runtime everything ends.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let attempts = mem::replace(&mut self.attempts, Box::pin(pending()));
        let (operation, progress) = (Arc::clone(&self.operation), self.progress.clone());
        let run_on = async move {
            let result = timeout(RUN_ON, attempts).await;
            learn(&result.unwrap_or_else(|_| Err(out_of_time(&operation, &progress))));
        };
        runtime.spawn(run_on.in_current_span());
    }
}
