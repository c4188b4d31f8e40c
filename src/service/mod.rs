//! The services of the contract: each RPC checks its request, calls Mesibo, and
//! answers.
//!
//! - [`user`], [`group`], [`message`]: one function an RPC
//! - `once`: answers that are given again for the same `request_id`
//! - `validation`: the rules that a request must meet

pub mod group;
pub mod message;
mod once;
pub mod user;
mod validation;

use std::error::Error as _;

use tokio::time::Instant;
use tonic::{Request, Status, service::Routes};

use crate::{
    mesibo::{self, Client, Failure, Operation, error::chain, reply::FromReply},
    proto::{
        group_service_server::GroupServiceServer, message_service_server::MessageServiceServer,
        user_service_server::UserServiceServer,
    },
    status::{self, ErrorCodes},
};
pub use user::TokenDeletion;

/// By when a call must be answered. The server puts it among the extensions of
/// every request.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// What all services share: the way to Mesibo, and back to the caller.
#[derive(Clone)]
pub struct Backend {
    client: Client,
    codes: ErrorCodes,
}

impl Backend {
    /// A backend behind a client, whose error codes are mapped as `codes` say.
    #[must_use]
    pub fn new(client: Client, codes: ErrorCodes) -> Self {
        Self { client, codes }
    }

    async fn call<R: FromReply>(
        &self,
        operation: Operation<R>,
        Deadline(deadline): Deadline,
    ) -> Result<R, Status> {
        let result = self.client.call(operation, deadline).await;
        result.map_err(|error| self.status(&error))
    }

    /// Calls an operation that changes something, and tells `learn` what became of it.
    async fn write<R: FromReply>(
        &self,
        operation: Operation<R>,
        Deadline(deadline): Deadline,
        learn: impl FnOnce(&Result<R, mesibo::Error>) + Send + 'static,
    ) -> Result<R, Status> {
        let result = self.client.write(operation, deadline, learn).await;
        result.map_err(|error| self.status(&error))
    }

    fn status(&self, error: &mesibo::Error) -> Status {
        log(error);
        status::from_error(error, &self.codes)
    }
}

/// The services of the contract, none of which takes a request message above
/// `max_request_bytes`.
#[must_use]
pub fn routes(
    backend: &Backend,
    token_deletion: TokenDeletion,
    max_request_bytes: usize,
) -> Routes {
    let users = user::Users::new(backend.clone(), token_deletion);
    let groups = group::Groups::new(backend.clone());
    let messages = message::Messages::new(backend.clone());
    Routes::new(UserServiceServer::new(users).max_decoding_message_size(max_request_bytes))
        .add_service(GroupServiceServer::new(groups).max_decoding_message_size(max_request_bytes))
        .add_service(
            MessageServiceServer::new(messages).max_decoding_message_size(max_request_bytes),
        )
}

/// Takes the message out of a request, with the call's deadline.
fn open<T>(request: Request<T>) -> (Deadline, T) {
    let deadline = *request
        .extensions()
        .get()
        .expect("the server gives every request a deadline");
    (deadline, request.into_inner())
}

/// Logs a failure, once, with what its status does not tell.
fn log(error: &mesibo::Error) {
    let cause = error.source().map(chain).unwrap_or_default();
    match error.failure() {
        // Mesibo works, and the caller is told.
        Failure::Refused { .. } => tracing::info!(%error, "Mesibo refused a call"),
        Failure::Malformed { excerpt, .. } => {
            tracing::warn!(%error, cause, excerpt, "Mesibo's reply cannot be read");
        }
        _ => tracing::warn!(%error, cause, "a call to Mesibo failed"),
    }
}
