//! How many requests are in flight, and how many calls wait until one ends.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::error::Failure;

/// When a call that was rejected may be repeated: by then those that wait now have got a
/// slot, or were rejected themselves.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits the requests in flight. A few more calls may wait, for a while; the rest is
/// rejected at once, because a longer queue would make every call late.
pub(super) struct Limit {
    max_in_flight: usize,
    slots: Semaphore,
    max_waiting: usize,
    queue: Semaphore,
    max_wait: Duration,
}

impl Limit {
    pub(super) fn new(max_in_flight: usize, max_waiting: usize, max_wait: Duration) -> Self {
        Self {
            max_in_flight,
            slots: Semaphore::new(max_in_flight),
            max_waiting,
            queue: Semaphore::new(max_waiting),
            max_wait,
        }
    }

    /// How many requests are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.max_in_flight - self.slots.available_permits()
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.max_waiting - self.queue.available_permits()
    }

    /// A slot, if one is free. Dropping the permit frees the slot.
    pub(super) fn try_enter(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }

    /// Waits for a slot.
    ///
    /// # Errors
    ///
    /// If too many calls wait already, or no slot becomes free in time.
    pub(super) async fn wait(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let overloaded = Failure::Overloaded {
            retry_after: RETRY_AFTER,
        };
        let Ok(_place) = self.queue.try_acquire() else {
            return Err(overloaded);
        };
        match timeout(self.max_wait, self.slots.acquire()).await {
            Ok(slot) => Ok(slot.expect("the semaphore is never closed")),
            Err(_) => Err(overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_are_waited_for_by_a_few_and_for_a_while() {
        let limit = Limit::new(2, 1, Duration::from_millis(500));
        let first = limit.try_enter().unwrap();
        let _second = limit.try_enter().unwrap();
        assert!(limit.try_enter().is_none());

        let (waited, rejected) = tokio::join!(limit.wait(), limit.wait());
        assert!(matches!(waited, Err(Failure::Overloaded { .. })));
        assert!(matches!(rejected, Err(Failure::Overloaded { .. })));

        let (third, ()) = tokio::join!(limit.wait(), async { drop(first) });
        assert!(third.is_ok());
    }
}
