//! What the server counts of the items of streams, as it does of calls.

use tonic::Code;

use super::refusals::{Refusal, Refusals};
use crate::{
    access::Access,
    call::{Policy, Record, context::ItemObserver},
    server::metrics::ServerMetrics,
    status::Reason,
};

/// Counts the items of streams, and leaves lines in the audit for those that are denied.
pub(super) struct Items {
    pub(super) access: Access,
    pub(super) refusals: Refusals,
    pub(super) metrics: ServerMetrics,
}

impl ItemObserver for Items {
    fn answered(&self, policy: &'static Policy, record: &Record, code: Code) {
        self.metrics.answered(policy, code);
        if let Some(denial) = record.denial() {
            self.access.count(denial, record.caller());
            let refusal = Refusal::Denied(Reason::of(denial));
            // The line of the stream in the log has the number of items that failed.
            let _ = self.refusals.take(record, policy.name(), refusal);
        }
    }

    fn panicked(&self) {
        self.metrics.panicked();
    }
}
