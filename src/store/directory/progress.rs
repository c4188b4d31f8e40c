//! How much of what reads wait for is written.

use std::mem;

use tokio::sync::watch;

/// Counts the records that gather others, in the order in which they come and are written.
#[derive(Default)]
pub(super) struct Progress(watch::Sender<Now>);

#[derive(Clone, Copy, Default)]
struct Now {
    /// How many of them are written, or given up.
    ended: u64,
    is_down: bool,
}

impl Progress {
    /// So many more are written, or given up.
    pub(super) fn end(&self, records: usize) {
        if records > 0 {
            self.0.send_modify(|now| now.ended += records as u64);
        }
    }

    /// How many of the first `records` are not written.
    pub(super) fn left(&self, records: u64) -> u64 {
        records.saturating_sub(self.0.borrow().ended)
    }

    /// Whether calls need not wait for what they record.
    pub(super) fn set_down(&self, is_down: bool) {
        self.0.send_if_modified(|now| {
            let was_down = mem::replace(&mut now.is_down, is_down);
            was_down != is_down
        });
    }

    pub(super) fn is_down(&self) -> bool {
        self.0.borrow().is_down
    }

    /// Resolves once the first `records` are written, or cannot be for now.
    pub(super) async fn reaches(&self, records: u64) {
        let mut now = self.0.subscribe();
        let is_past = |now: &Now| now.is_down || now.ended >= records;
        let _ = now.wait_for(is_past).await;
    }
}
