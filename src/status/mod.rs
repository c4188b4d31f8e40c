//! The one road from a failure to a gRPC status.
//!
//! Every status carries `google.rpc.ErrorInfo`. Its domain is [`MESIBO_DOMAIN`]
//! where Mesibo said no, with Mesibo's own code as the reason, and [`DOMAIN`] where
//! the facade did, with a [`Reason`]. Texts are for people; none holds a token or
//! anything else that a peer made up, but for Mesibo's error code.
//!
//! Each function gives a [`Draft`], which becomes a status when the id of its call is
//! added.

mod code;
mod draft;
mod error_codes;
mod library;
mod reason;
mod received;
mod upstream;
mod violations;

use std::time::Duration;

use tonic::Code;

use crate::{call::Denial, store};
pub use code::{code_name, code_of_name};
pub use draft::Draft;
pub use error_codes::ErrorCodes;
pub use library::{complete, unknown_method, unsupported_encoding};
pub use reason::Reason;
pub(crate) use received::BASE64;
pub use received::{ServerChannel, readable};
pub use upstream::from_error;
pub use violations::{Rule, Violations};

/// `ErrorInfo.domain` of what the facade itself refused or could not do.
pub const DOMAIN: &str = "mesibo-grpc";

/// `ErrorInfo.domain` of what Mesibo refused.
pub const MESIBO_DOMAIN: &str = "mesibo.com";

/// When a call beyond its caller's share may come back: by then some of those in flight
/// have ended, for few take longer.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// After which time a call may be tried again for which there was no memory.
const REQUEST_MEMORY_RETRY: Duration = Duration::from_secs(1);

/// After which time a call may be tried again that the audit had no place for.
const AUDIT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a caller learns of a panic. The log has the rest, by the panic hook.
const DEFECT: &str = "the facade has a defect; its log has more";

/// The status of a request that breaks rules of the contract.
#[must_use]
pub fn invalid_request(op: &str, violations: Violations) -> Draft {
    let text = violations.text();
    Draft::new(Code::InvalidArgument, Reason::InvalidRequest, text)
        .with("op", op)
        .violations(violations.into_listed())
}

/// The status of a request whose `request_id` was used for another one before.
#[must_use]
pub fn request_id_reused(op: &str) -> Draft {
    let allowed = "must be new, or repeat the request that it was first used for";
    let mut violations = Violations::default();
    violations.add_of_fields(Rule::Reused, &["request_id"], allowed);
    let text = violations.text();
    Draft::new(Code::InvalidArgument, Reason::RequestIdReused, text)
        .with("op", op)
        .violations(violations.into_listed())
}

/// The status of a call that is not allowed.
#[must_use]
pub fn denied(denial: &Denial) -> Draft {
    let reason = Reason::of(denial);
    let unauthenticated = |text: &str| Draft::new(Code::Unauthenticated, reason, text);
    let of_caller = |caller: &str, may_not: &str| {
        let text = format!("the caller {caller} {may_not}; the facade's operator may allow it");
        Draft::new(Code::PermissionDenied, reason, text).with("caller", caller)
    };
    match denial {
        Denial::NoCredentials => unauthenticated(
            "the call does not say who calls; send the metadata authorization: Bearer KEY, \
             with a key that the facade's operator gives",
        ),
        Denial::WrongKey | Denial::ExpiredKey { .. } => unauthenticated(
            "authorization must be Bearer and one valid key, which the facade's operator gives",
        ),
        Denial::UnknownCertificate => unauthenticated(
            "the names in the client certificate must be those of one caller, which the \
             facade's operator defines",
        ),
        Denial::Rpc { caller, rpc } => of_caller(caller, &format!("may not call {rpc}")),
        Denial::App { caller } => of_caller(
            caller,
            "may not use this app, or there is none of this name",
        ),
        Denial::FromAddress { caller } => {
            of_caller(caller, "may not send messages from this address")
        }
        Denial::AppId { caller } => {
            of_caller(caller, "may not make or delete user tokens for this app_id")
        }
        Denial::Rate { limit, retry_after } => Draft::new(
            Code::ResourceExhausted,
            reason,
            format!("too many calls of this {limit}; nothing was sent, so try it again later"),
        )
        .with("limit", *limit)
        .retry_after(Some(*retry_after)),
        Denial::Burst {
            limit,
            units,
            burst,
        } => Draft::new(
            Code::ResourceExhausted,
            reason,
            format!(
                "a call with {units} receivers or members counts {units} times, and the rate of \
                 this {limit} admits at most {burst} at once; nothing was sent, so make several \
                 calls of it"
            ),
        )
        .with("limit", *limit)
        .with("burst", burst.to_string()),
        Denial::InFlight { caller, limit } => Draft::new(
            Code::ResourceExhausted,
            reason,
            format!(
                "the caller {caller} has {limit} operations in flight for this app, as many as \
                 it may; nothing was sent, so try it again"
            ),
        )
        .with("limit", "caller")
        .retry_after(Some(IN_FLIGHT_RETRY)),
    }
}

/// The status of a call for whose request there is no memory.
#[must_use]
pub fn request_memory() -> Draft {
    Draft::new(
        Code::ResourceExhausted,
        Reason::RequestMemory,
        "the requests under way take all the memory that they may; nothing was sent, so try it \
         again later",
    )
    .retry_after(Some(REQUEST_MEMORY_RETRY))
}

/// The status of a watch of health above a limit: of the `connection` or of the `server`.
#[must_use]
pub fn too_many_watches(limit: &'static str) -> Draft {
    let text = format!("too many watches of health of this {limit}; end one, or ask with Check");
    Draft::new(Code::ResourceExhausted, Reason::TooManyWatches, text).with("limit", limit)
}

/// The status of an operation that writes, and was not sent because the audit has no place
/// for its line.
#[must_use]
pub fn audit_unavailable(op: &str) -> Draft {
    let text = format!(
        "the facade's audit cannot be written; {op} was not sent, so try it again later, and \
         tell the facade's operator"
    );
    Draft::new(Code::Unavailable, Reason::AuditUnavailable, text)
        .with("op", op)
        .retry_after(Some(AUDIT_RETRY_AFTER))
}

/// The status of an operation that was not sent, for the store did not say whether it was
/// made before.
#[must_use]
pub fn store_failed(op: &str, error: &store::Error) -> Draft {
    let (reason, why, retry_after) = match *error {
        store::Error::Unavailable { retry_after } => (
            Reason::StoreUnavailable,
            "the facade's store of request ids does not answer",
            retry_after,
        ),
        store::Error::Overloaded { retry_after } => (
            Reason::Overloaded,
            "too many calls wait for the facade's store of request ids",
            retry_after,
        ),
    };
    let text = format!("{why}; {op} was not sent, so try it again with its request_id");
    Draft::new(Code::Unavailable, reason, text)
        .with("op", op)
        .retry_after(Some(retry_after))
}

/// The status of a read of the directory that its database did not answer.
#[must_use]
pub fn directory_failed(error: &store::Error) -> Draft {
    let (reason, why, retry_after) = match *error {
        store::Error::Unavailable { retry_after } => (
            Reason::StoreUnavailable,
            "the database of the facade's directory does not answer",
            retry_after,
        ),
        store::Error::Overloaded { retry_after } => (
            Reason::Overloaded,
            "too many calls wait for the facade's directory",
            retry_after,
        ),
    };
    Draft::new(Code::Unavailable, reason, format!("{why}; try it again"))
        .retry_after(Some(retry_after))
}

/// The status of a read of a directory that is not there.
#[must_use]
pub fn no_store() -> Draft {
    let text = "the facade keeps no directory; its operator may set store to a database, and \
                directory to true";
    Draft::new(Code::FailedPrecondition, Reason::NoStore, text)
}

/// The status of a read of a user or group that the directory has no entry of.
#[must_use]
pub fn not_in_directory(what: &str) -> Draft {
    let text = format!("the facade's directory has no such {what}, though Mesibo may have it");
    Draft::new(Code::NotFound, Reason::NotInDirectory, text)
}

/// The status of an operation on a user whose address nobody knows.
#[must_use]
pub fn unknown_address(op: &str) -> Draft {
    let text = format!(
        "neither the facade's directory nor Mesibo has a user of this address; {op} was not sent"
    );
    Draft::new(Code::NotFound, Reason::UnknownAddress, text).with("op", op)
}

/// Adds that the directory's entry for the address of the request led to a user that Mesibo
/// does not have.
#[must_use]
pub fn of_stale_entry(draft: Draft) -> Draft {
    draft.with("directory", "stale").adding(
        "; the uid is the directory's for this address, whose entry is uncertain now and will \
         be looked up",
    )
}

/// The status of an operation of which no answer was recorded: the server that made the
/// call ended before, or could not reach the store.
#[must_use]
pub fn answer_lost(op: &str) -> Draft {
    let text = format!("the server that was to send {op} recorded no answer");
    Draft::new(Code::Unknown, Reason::AnswerLost, text)
        .with("op", op)
        .with("outcome", "unknown")
        .never_retried()
}

/// The status of a stream that ends because the server or its connection does.
#[must_use]
pub fn draining() -> Draft {
    Draft::new(
        Code::Unavailable,
        Reason::Draining,
        "the server stops, or the connection has reached its age; items without an answer were \
         not sent, so send them in a new stream",
    )
}

/// The status of a stream to which no item came for this time.
#[must_use]
pub fn stream_idle(timeout: Duration) -> Draft {
    let timeout = humantime::format_duration(timeout);
    Draft::new(
        Code::DeadlineExceeded,
        Reason::StreamIdle,
        format!("no item came for {timeout}; every item is answered, so send more in a new stream"),
    )
}

/// The status of a call, or an item of a stream, that a panic ended.
#[must_use]
pub fn panicked() -> Draft {
    Draft::new(Code::Internal, Reason::InternalPanic, DEFECT)
}

/// The status of a call that the facade refuses for a reason of its own, outside of any
/// operation.
#[must_use]
pub fn refuse(code: Code, reason: Reason, text: impl Into<String>) -> Draft {
    Draft::new(code, reason, text)
}
