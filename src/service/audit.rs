//! A line in the log for every call that changes something: who asked for what, for
//! which app, and what became of it. It is written once the outcome is known, which may
//! be after the caller has gone.

use std::time::Instant;

use crate::{
    access::Admitted,
    mesibo::{Error, Failure, reply::FromReply},
};

/// The line about one call. Dropped before the outcome is known, it says so.
pub(super) struct Audit {
    admitted: Admitted,
    target: String,
    started: Instant,
    is_settled: bool,
}

/// What the line says of the end of a call.
#[derive(Default)]
struct Ending<'a> {
    /// `done`, `not_done` or `unknown`.
    outcome: &'static str,
    /// What went wrong.
    failure: Option<&'static str>,
    /// Mesibo's error code.
    code: Option<&'a str>,
    /// The id of what was made, or the message's.
    id: Option<u64>,
}

impl Audit {
    /// A call begins. `target` has the ids and addresses that it is about, and nothing
    /// else.
    pub(super) fn new(admitted: &Admitted, target: String) -> Self {
        Self {
            admitted: admitted.clone(),
            target,
            started: Instant::now(),
            is_settled: false,
        }
    }

    /// The outcome is known, as far as it ever will be.
    pub(super) fn settle<R: FromReply>(mut self, result: &Result<R, Error>) {
        self.is_settled = true;
        self.write(&match result {
            Ok(reply) => Ending {
                outcome: "done",
                id: reply.id(),
                ..Ending::default()
            },
            Err(error) => Ending {
                outcome: if error.outcome_unknown() {
                    "unknown"
                } else {
                    "not_done"
                },
                failure: Some(error.outcome()),
                code: match error.failure() {
                    Failure::Refused { code, .. } => code.as_deref(),
                    _ => None,
                },
                ..Ending::default()
            },
        });
    }

    fn write(&self, ending: &Ending) {
        let Admitted {
            rpc, caller, app, ..
        } = &self.admitted;
        tracing::info!(
            target: "mesibo_grpc::audit",
            caller = &*caller.name,
            app = &*app.name,
            rpc,
            target = self.target,
            outcome = ending.outcome,
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
            self.write(&Ending {
                outcome: "unknown",
                failure: Some("abandoned"),
                ..Ending::default()
            });
        }
    }
}
