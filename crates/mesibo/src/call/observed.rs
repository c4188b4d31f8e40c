//! The one outcome of each call that the observer is told.

use std::{sync::Arc, time::Instant};

use crate::{error::Error, observer::Observer};

/// A call under way. Dropped before it is finished, it was cancelled.
pub(super) struct ObservedCall {
    observer: Arc<dyn Observer>,
    op: &'static str,
    started: Instant,
    outcome: &'static str,
}

impl ObservedCall {
    /// A call of an operation begins.
    pub(super) fn begin(observer: &Arc<dyn Observer>, op: &'static str) -> Self {
        Self {
            observer: Arc::clone(observer),
            op,
            started: Instant::now(),
            outcome: Error::CANCELLED,
        }
    }

    /// The call is over.
    pub(super) fn finish<R>(mut self, result: &Result<R, Error>) {
        self.outcome = result.as_ref().err().map_or(Error::NONE, Error::outcome);
    }
}

impl Drop for ObservedCall {
    fn drop(&mut self) {
        let Self { op, outcome, .. } = *self;
        self.observer.call(op, outcome, self.started.elapsed());
    }
}
