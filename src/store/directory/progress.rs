//! How much of what was recorded is written.

use std::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

/// Counts records, in the order in which they are written.
pub(super) struct Progress {
    recorded: AtomicU64,
    /// How many records reads wait for.
    held: AtomicU64,
    now: watch::Sender<Now>,
}

#[derive(Clone, Copy, Default)]
struct Now {
    /// How many records are written, or given up.
    ended: u64,
    is_down: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            recorded: AtomicU64::new(0),
            held: AtomicU64::new(0),
            now: watch::Sender::default(),
        }
    }

    /// A record is about to go to the keeper.
    pub(super) fn record(&self) {
        self.recorded.fetch_add(1, Ordering::AcqRel);
    }

    /// Reads wait for what has gone to the keeper.
    pub(super) fn hold_reads(&self) {
        let recorded = self.recorded.load(Ordering::Acquire);
        self.held.fetch_max(recorded, Ordering::AcqRel);
    }

    /// Records are written, or given up.
    pub(super) fn end(&self, records: usize) {
        self.now.send_modify(|now| now.ended += records as u64);
    }

    /// Whether calls need not wait for what they record.
    pub(super) fn set_down(&self, is_down: bool) {
        self.now.send_if_modified(|now| {
            let was_down = mem::replace(&mut now.is_down, is_down);
            was_down != is_down
        });
    }

    pub(super) fn is_down(&self) -> bool {
        self.now.borrow().is_down
    }

    /// Resolves once what reads wait for is written, or cannot be for now.
    pub(super) async fn caught_up(&self) {
        let held = self.held.load(Ordering::Acquire);
        let mut now = self.now.subscribe();
        let _ = now.wait_for(|now| now.is_down || now.ended >= held).await;
    }
}
