//! The audit: a line in the log for every call that writes, with its caller, its app,
//! what it is about, and its outcome. It is written when the outcome is known, which may
//! be after the client has gone.

use std::time::Instant;

use crate::call::{Context, Ending};

/// The line of one call. Dropped before the outcome is known, it says that.
pub(super) struct Audit {
    call: Context,
    target: String,
    started: Instant,
    is_settled: bool,
}

impl Audit {
    /// The line of a call that begins. `target` has the ids and addresses that it is
    /// about, and nothing else.
    pub(super) fn new(call: &Context, target: String) -> Self {
        Self {
            call: call.clone(),
            target,
            started: Instant::now(),
            is_settled: false,
        }
    }

    /// Writes the line.
    pub(super) fn settle(mut self, ending: &Ending) {
        self.is_settled = true;
        self.write(ending);
    }

    fn write(&self, ending: &Ending) {
        let Context {
            policy,
            caller,
            app,
            ..
        } = &self.call;
        tracing::info!(
            target: "mesibo_grpc::audit",
            caller = &**caller,
            app = &*app.name,
            rpc = policy.name(),
            target = self.target,
            outcome = ending.outcome.name(),
            failure = ending.failure,
            code = ending.code,
            id = ending.id,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "audit"
        );
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // A defect, or the end of the process.
        if !self.is_settled {
            self.write(&Ending::abandoned());
        }
    }
}
