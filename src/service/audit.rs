//! The audit: a line for every call that writes, with its caller, its app, what it is
//! about, and its outcome. It is written when the outcome is known, which may be after the
//! client has gone.

use std::time::Instant;

use crate::{
    call::{Context, Ending},
    telemetry::audit::{AuditLog, Place},
};

/// The line of one call. Dropped before the outcome is known, it says that.
pub(super) struct Audit {
    call: Context,
    subject: String,
    started: Instant,
    /// `None` after the line was written.
    place: Option<Place>,
}

impl Audit {
    /// The line of a call that begins. `subject` has the ids and addresses that it is
    /// about, and nothing else. `None` if the call must not be made, for the line has no
    /// place.
    pub(super) fn new(log: &AuditLog, call: &Context, subject: String) -> Option<Self> {
        Some(Self {
            call: call.clone(),
            subject,
            started: Instant::now(),
            place: Some(log.place()?),
        })
    }

    /// Writes the line.
    pub(super) fn settle(mut self, ending: &Ending) {
        self.write(ending);
    }

    fn write(&mut self, ending: &Ending) {
        let Some(place) = self.place.take() else {
            return;
        };
        let Context { policy, record, .. } = &self.call;
        let mut line = place.audit().line(Some(record.id().as_str()));
        record.describe(&mut line, policy.name());
        line.text("subject", &self.subject)
            .text("outcome", ending.outcome.name());
        if let Some(failure) = ending.failure {
            line.text("failure", failure);
        }
        if let Some(code) = &ending.code {
            line.text("code", code);
        }
        if let Some(id) = ending.id {
            line.number("id", id);
        }
        let duration = self.started.elapsed().as_millis();
        line.number("duration_ms", u64::try_from(duration).unwrap_or(u64::MAX));
        place.write(line);
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // A defect, or the end of the process.
        self.write(&Ending::abandoned());
    }
}
