//! Wakes calls of this process that wait for the outcome of another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

/// Who waits, by request id. Ids of other apps or callers that are the same wake for
/// nothing, and look again.
#[derive(Debug, Default)]
pub(super) struct Signals(Mutex<HashMap<Uuid, Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    calls: usize,
    signal: Arc<Notify>,
}

/// A call that waits. It is forgotten when it is dropped.
pub(super) struct Subscription<'a> {
    signals: &'a Signals,
    id: Uuid,
    pub(super) signal: Arc<Notify>,
}

impl Signals {
    /// Wakes those who wait for this id.
    pub(super) fn wake(&self, id: &Uuid) {
        if let Some(waiting) = self.lock().get(id) {
            waiting.signal.notify_waiters();
        }
    }

    /// Waits for this id from now on.
    pub(super) fn subscribe(&self, id: Uuid) -> Subscription<'_> {
        let mut all = self.lock();
        let waiting = all.entry(id).or_default();
        waiting.calls += 1;
        Subscription {
            signals: self,
            id,
            signal: Arc::clone(&waiting.signal),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        let mut all = self.signals.lock();
        if let Some(waiting) = all.get_mut(&self.id) {
            waiting.calls -= 1;
            if waiting.calls == 0 {
                all.remove(&self.id);
            }
        }
    }
}
