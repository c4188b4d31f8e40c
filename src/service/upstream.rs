//! The calls to Mesibo: audited, recorded, and with a status for each failure.

use std::{error::Error as _, sync::Arc};

use mesibo::{Error, Failure, Idempotency, Operation, chain, reply::FromReply};
use tokio::sync::oneshot;
use tonic::Status;

use super::{
    audit::Audit,
    metrics::ServiceMetrics,
    record::{Recorder, fate},
    rejections::TokenRejections,
};
use crate::{
    call::{Context, Ending, Outcome, record::UpstreamFailure},
    status::{self, Draft, ErrorCodes},
    store::directory::Write,
    telemetry::audit::AuditLog,
};

/// Calls Mesibo for the services.
#[derive(Clone)]
pub struct Upstream {
    codes: ErrorCodes,
    metrics: ServiceMetrics,
    audit: AuditLog,
    token_rejections: TokenRejections,
    recorder: Recorder,
}

impl Upstream {
    /// `codes` has the meaning of Mesibo's error codes. Every call that writes leaves a line
    /// in `audit`.
    #[must_use]
    pub fn new(codes: ErrorCodes, metrics: ServiceMetrics, audit: AuditLog) -> Self {
        Self {
            token_rejections: TokenRejections::new(codes.clone(), metrics.clone()),
            codes,
            metrics,
            audit,
            recorder: Recorder::default(),
        }
    }

    /// Records in a directory what is written.
    #[must_use]
    pub fn recording(mut self, recorder: Recorder) -> Self {
        self.recorder = recorder;
        self
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn metrics(&self) -> &ServiceMetrics {
        &self.metrics
    }

    /// Carries out an operation that reads.
    pub(super) async fn read<R: FromReply>(
        &self,
        call: &Context,
        operation: Operation<R>,
    ) -> Result<R, Status> {
        debug_assert_eq!(operation.idempotency(), Idempotency::Safe);
        let result = call.app.client.call(operation, call.deadline()).await;
        self.token_rejections.look(&call.app, &result);
        record(call, &result);
        result.map_err(|error| self.draft(&error).into_status(call.record.id()))
    }

    /// Carries out an operation that writes: `write`, as the directory records it.
    pub(super) async fn call<R: FromReply>(
        &self,
        call: &Context,
        operation: Operation<R>,
        write: Option<Write>,
    ) -> Result<R, Draft> {
        let audit = self.audit(call, &operation)?;
        let result = self.write(audit, call, operation, write, |_, _| ()).await;
        result.map_err(|error| self.draft(&error))
    }

    /// Begins the line in the audit of an operation that writes.
    ///
    /// # Errors
    ///
    /// If the operation must not be carried out, for its line has no place.
    pub(super) fn audit<R: FromReply>(
        &self,
        call: &Context,
        operation: &Operation<R>,
    ) -> Result<Audit, Draft> {
        Audit::new(&self.audit, call, operation.target()).ok_or_else(|| {
            call.record.upstream(Ending::UNAUDITED);
            status::audit_unavailable(operation.name())
        })
    }

    /// Carries out an operation that writes. `settle` learns its end, which may be later
    /// than the end of the call, and so does the directory.
    pub(super) async fn write<R: FromReply>(
        &self,
        audit: Audit,
        call: &Context,
        operation: Operation<R>,
        write: Option<Write>,
        settle: impl FnOnce(&Result<R, Error>, &Ending) + Send + 'static,
    ) -> Result<R, Error> {
        let mut intent = self.recorder.begin(call, write).await;
        if let Some(intent) = &mut intent {
            intent.sending();
        }
        let (settled, mut written) = oneshot::channel();
        let codes = self.codes.clone();
        // What runs on beyond its caller keeps its place until the outcome is known.
        let slot = call.slot.clone();
        let memory = call.memory.clone();
        let (rejections, app) = (self.token_rejections.clone(), Arc::clone(&call.app));
        let on_outcome = move |result: &Result<R, Error>| {
            drop(slot);
            rejections.look(&app, result);
            let ending = ending(result);
            audit.settle(&ending);
            settle(result, &ending);
            if let Some(intent) = intent {
                let _ = settled.send(intent.settle(fate(&ending, &codes)));
            }
            drop(memory);
        };
        let client = &call.app.client;
        let result = client.write(operation, call.deadline(), on_outcome).await;
        record(call, &result);
        if let Ok(written) = written.try_recv() {
            self.recorder.wait(call, written).await;
        }
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
        },
    }
}

/// Records what became of a call to Mesibo. The line of the call has what the status of a
/// failure does not tell.
fn record<R>(call: &Context, result: &Result<R, Error>) {
    let Err(error) = result else {
        return call.record.upstream(Error::NONE);
    };
    let mut failure = UpstreamFailure::default();
    match error.failure() {
        // Mesibo works, and the status has its answer.
        Failure::Refused { code, excerpt, .. } => {
            failure.code.clone_from(code);
            // The log quotes it again.
            let excerpt = excerpt.as_deref().map(|excerpt| excerpt.trim_matches('"'));
            failure.cause = excerpt.map(ToOwned::to_owned);
        }
        kind => {
            if let Failure::Malformed { excerpt, .. } = kind {
                // Excerpts are quoted.
                tracing::warn!(%excerpt, "Mesibo's reply cannot be read");
            }
            failure.error = Some(error.to_string());
            failure.cause = error.source().map(chain);
        }
    }
    call.record.upstream_failed(error.outcome(), failure);
}
