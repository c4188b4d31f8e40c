//! The services of the contract: each RPC checks its request, calls Mesibo, and
//! answers.
//!
//! - [`user`], [`group`], [`message`]: one function an RPC
//! - `audit`: a line for every call that changes something
//! - `metrics`: what they count
//! - `once`: answers that are given again for the same `request_id`
//! - `validation`: the rules that a request must meet

mod audit;
pub mod group;
pub mod message;
mod metrics;
mod once;
pub mod user;
mod validation;

use std::{error::Error as _, sync::Arc};

use tokio::time::Instant;
use tonic::{Request, Status};

use crate::{
    access::{Admitted, Denial},
    mesibo::{self, Failure, Idempotency, Operation, error::chain, reply::FromReply},
    proto::{
        group_service_server::GroupServiceServer, message_service_server::MessageServiceServer,
        user_service_server::UserServiceServer,
    },
    record::Record,
    server::Services,
    status::{self, ErrorCodes},
};
use audit::Audit;
pub use metrics::Metrics;
pub use user::TokenDeletion;

/// One call, as the server has found it: who calls, for which app, and by when it must be
/// answered. It puts this among the extensions of every request of the contract.
#[derive(Clone)]
pub struct Context {
    /// Who calls, and for which app.
    pub admitted: Admitted,
    /// By when it must be answered.
    pub deadline: Instant,
    /// What the log tells of it at its end.
    pub record: Record,
}

/// The way to Mesibo, and back to the caller.
#[derive(Clone)]
struct Call {
    admitted: Admitted,
    deadline: Instant,
    record: Record,
    codes: ErrorCodes,
}

impl Call {
    /// Calls an operation.
    async fn call<R: FromReply>(&self, operation: Operation<R>) -> Result<R, Status> {
        if operation.idempotency() != Idempotency::Safe {
            return self.write(operation, |_| ()).await;
        }
        let client = &self.admitted.app.client;
        let result = client.call(operation, self.deadline).await;
        self.told(result)
    }

    /// Calls an operation that changes something, and tells the audit and `learn` what
    /// became of it.
    async fn write<R: FromReply>(
        &self,
        operation: Operation<R>,
        learn: impl FnOnce(&Result<R, mesibo::Error>) + Send + 'static,
    ) -> Result<R, Status> {
        let audit = Audit::new(&self.admitted, operation.target());
        let learn = |result: &Result<R, mesibo::Error>| {
            audit.settle(result);
            learn(result);
        };
        let client = &self.admitted.app.client;
        let result = client.write(operation, self.deadline, learn).await;
        self.told(result)
    }

    /// Records what became of a call to Mesibo. If it failed, the log has what its status
    /// does not tell.
    fn told<R>(&self, result: Result<R, mesibo::Error>) -> Result<R, Status> {
        match result {
            Ok(reply) => {
                self.record.upstream(mesibo::Error::NONE);
                Ok(reply)
            }
            Err(error) => {
                self.record.upstream(error.outcome());
                self.log(&error);
                Err(status::from_error(&error, &self.codes))
            }
        }
    }

    /// Whether its caller may send messages from an address.
    fn may_send_from(&self, address: &str) -> Result<(), Status> {
        let caller = &self.admitted.caller;
        if caller.may_send_from(address) {
            return Ok(());
        }
        let caller = Arc::clone(&caller.name);
        Err(self.denied(&Denial::FromAddress { caller }))
    }

    /// Whether its caller may make and delete user tokens for an `app_id`, or for all.
    fn may_grant(&self, app_id: Option<&str>) -> Result<(), Status> {
        let caller = &self.admitted.caller;
        if caller.may_grant(app_id) {
            return Ok(());
        }
        let caller = Arc::clone(&caller.name);
        Err(self.denied(&Denial::AppId { caller }))
    }

    fn denied(&self, denial: &Denial) -> Status {
        self.admitted.metrics.denied(denial);
        status::denied(denial)
    }

    fn log(&self, error: &mesibo::Error) {
        let Admitted { caller, app, .. } = &self.admitted;
        let (caller, app) = (&*caller.name, &*app.name);
        let cause = error.source().map(chain).unwrap_or_default();
        match error.failure() {
            // Mesibo works, and the caller is told.
            Failure::Refused { .. } => {
                tracing::info!(caller, app, %error, "Mesibo refused a call");
            }
            Failure::Malformed { excerpt, .. } => {
                tracing::warn!(caller, app, %error, cause, excerpt, "Mesibo's reply cannot be read");
            }
            _ => tracing::warn!(caller, app, %error, cause, "a call to Mesibo failed"),
        }
    }
}

/// The services of the contract, none of which takes a request message above
/// `max_request_bytes`. What Mesibo's error codes mean is for `codes` to say; they count
/// among `metrics`.
#[must_use]
pub fn services(
    codes: &ErrorCodes,
    token_deletion: TokenDeletion,
    max_request_bytes: usize,
    metrics: &Metrics,
) -> Services {
    let users = user::Users::new(codes.clone(), token_deletion);
    let groups = group::Groups::new(codes.clone(), metrics.clone());
    let messages = message::Messages::new(codes.clone(), metrics.clone());
    let limit = max_request_bytes;
    Services::default()
        .with(UserServiceServer::new(users).max_decoding_message_size(limit))
        .with(GroupServiceServer::new(groups).max_decoding_message_size(limit))
        .with(MessageServiceServer::new(messages).max_decoding_message_size(limit))
}

/// Takes the message out of a request, with its call.
fn open<T>(codes: &ErrorCodes, request: Request<T>) -> (Call, T) {
    let (_, mut extensions, message) = request.into_parts();
    let context = extensions.remove();
    let Context {
        admitted,
        deadline,
        record,
    } = context.expect("the server admits every call of the contract");
    let call = Call {
        admitted,
        deadline,
        record,
        codes: codes.clone(),
    };
    (call, message)
}
