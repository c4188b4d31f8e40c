//! How many requests are in flight, and how many wait.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::error::Failure;

/// When a call that was turned away may come back: by then those that wait now had
/// their turn, or were turned away themselves.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Lets so many requests through at a time, and a few more wait. What is above is
/// turned away at once: a queue that grows only makes everyone late.
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

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.max_waiting - self.queue.available_permits()
    }

    /// Waits for a slot, which is free again when the permit is dropped.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
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
        let first = limit.enter().await.unwrap();
        let _second = limit.enter().await.unwrap();

        let (waited, turned_away) = tokio::join!(limit.enter(), limit.enter());
        assert!(matches!(waited, Err(Failure::Overloaded { .. })));
        assert!(matches!(turned_away, Err(Failure::Overloaded { .. })));

        let (third, ()) = tokio::join!(limit.enter(), async { drop(first) });
        assert!(third.is_ok());
    }
}
