//! The calls to Mesibo: audited, recorded, and with a status for each failure.

use std::error::Error as _;

use mesibo::{Error, Failure, Idempotency, Operation, chain, reply::FromReply};
use tonic::Status;
use tracing::field;

use super::{audit::Audit, metrics::ServiceMetrics};
use crate::{
    call::{Context, Ending, Outcome},
    status::{self, Draft, ErrorCodes},
};

/// Calls Mesibo for the services.
#[derive(Clone)]
pub struct Upstream {
    codes: ErrorCodes,
    metrics: ServiceMetrics,
}

impl Upstream {
    /// `codes` has the meaning of Mesibo's error codes.
    #[must_use]
    pub fn new(codes: ErrorCodes, metrics: ServiceMetrics) -> Self {
        Self { codes, metrics }
    }

    pub(super) fn metrics(&self) -> &ServiceMetrics {
        &self.metrics
    }

    /// Carries out an operation.
    pub(super) async fn call<R: FromReply>(
        &self,
        call: &Context,
        operation: Operation<R>,
    ) -> Result<R, Status> {
        let result = if operation.idempotency() == Idempotency::Safe {
            let result = call.app.client.call(operation, call.deadline()).await;
            record(call, &result);
            result
        } else {
            self.write(call, operation, |_, _| ()).await
        };
        result.map_err(|error| self.draft(&error).into_status(call.record.id()))
    }

    /// Carries out an operation that writes. `settle` learns its end, which may be later
    /// than the end of the call.
    pub(super) async fn write<R: FromReply>(
        &self,
        call: &Context,
        operation: Operation<R>,
        settle: impl FnOnce(&Result<R, Error>, &Ending) + Send + 'static,
    ) -> Result<R, Error> {
        let audit = Audit::new(call, operation.target());
        // What runs on beyond its caller keeps its place until the outcome is known.
        let slot = call.slot.clone();
        let on_outcome = |result: &Result<R, Error>| {
            drop(slot);
            let ending = ending(result);
            audit.settle(&ending);
            settle(result, &ending);
        };
        let client = &call.app.client;
        let result = client.write(operation, call.deadline(), on_outcome).await;
        record(call, &result);
        result
    }

    /// The status of a failure.
    pub(super) fn draft(&self, error: &Error) -> Draft {
        status::from_error(error, &self.codes)
    }
}

/// What became of an operation.
fn ending<R: FromReply>(result: &Result<R, Error>) -> Ending {
    match result {
        Ok(reply) => Ending {
            outcome: Outcome::Done,
            failure: None,
            code: None,
            id: reply.id(),
            is_given_up: false,
        },
        Err(error) => Ending {
            outcome: if error.outcome_unknown() {
                Outcome::Unknown
            } else {
                Outcome::NotDone
            },
            failure: Some(error.outcome()),
            code: match error.failure() {
                Failure::Refused { code, .. } => code.clone(),
                _ => None,
            },
            id: None,
            is_given_up: matches!(
                error.failure(),
                Failure::OutOfTime { .. } | Failure::Cancelled
            ),
        },
    }
}

/// Records what became of a call to Mesibo. The log has what the status of a failure does
/// not tell.
fn record<R>(call: &Context, result: &Result<R, Error>) {
    match result {
        Ok(_) => call.record.upstream(Error::NONE),
        Err(error) => {
            call.record.upstream(error.outcome());
            log(call, error);
        }
    }
}

fn log(call: &Context, error: &Error) {
    let (caller, app) = (&*call.caller, &*call.app.name);
    let cause = error.source().map(chain).unwrap_or_default();
    match error.failure() {
        // Mesibo works, and the status has its answer.
        Failure::Refused { excerpt, .. } => {
            let excerpt = excerpt.as_ref().map(field::display);
            tracing::info!(caller, app, %error, excerpt, "Mesibo refused a call");
        }
        // Excerpts are quoted.
        Failure::Malformed { excerpt, .. } => {
            tracing::warn!(caller, app, %error, cause, %excerpt, "Mesibo's reply cannot be read");
        }
        _ => tracing::warn!(caller, app, %error, cause, "a call to Mesibo failed"),
    }
}
