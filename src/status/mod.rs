//! The one road from a failure to a gRPC status.
//!
//! Every status carries `google.rpc.ErrorInfo`. Its domain is [`MESIBO_DOMAIN`]
//! where Mesibo said no, with Mesibo's own code as the reason, and [`DOMAIN`] where
//! the facade did, with a [`Reason`]. Texts are for people; none holds a token or
//! anything else that a peer made up, but for Mesibo's error code.
//!
//! Each function gives a [`Draft`], which becomes a status when the id of its call is
//! added.

mod draft;
mod error_codes;
mod library;
mod reason;
mod upstream;

use tonic::Code;
use tonic_types::FieldViolation;

use crate::call::Denial;
pub use draft::Draft;
pub use error_codes::ErrorCodes;
pub use library::{complete, unknown_method};
pub use reason::Reason;
pub use upstream::from_error;

/// `ErrorInfo.domain` of what the facade itself refused or could not do.
pub const DOMAIN: &str = "mesibo-grpc";

/// `ErrorInfo.domain` of what Mesibo refused.
pub const MESIBO_DOMAIN: &str = "mesibo.com";

/// Longest list of violations in a status, in bytes. Headers are small: 8 KiB with most
/// clients, base64 and all the rest included.
const MAX_VIOLATION_BYTES: usize = 4_000;

/// What a caller learns of a panic. The log has the rest, by the panic hook.
const DEFECT: &str = "the facade has a defect; its log has more";

/// The status of a request that breaks rules of the contract. Violations that do not fit
/// into the headers of a response are counted instead.
#[must_use]
pub fn invalid_request(op: &str, mut violations: Vec<FieldViolation>) -> Draft {
    let total = violations.len();
    let mut bytes = 0;
    let fitting = violations
        .iter()
        .take_while(|violation| {
            bytes += violation.field.len() + violation.description.len();
            bytes <= MAX_VIOLATION_BYTES
        })
        .count();
    violations.truncate(fitting);

    let rest = match total.saturating_sub(1) {
        0 => String::new(),
        rest => format!(" (and {rest} more, listed in BadRequest)"),
    };
    let text = violations.first().map_or_else(String::new, |first| {
        format!("{}: {}{rest}", first.field, first.description)
    });
    if fitting < total {
        let rest = format!("and {} more violations", total - fitting);
        violations.push(FieldViolation::new("", rest));
    }
    Draft::new(Code::InvalidArgument, Reason::InvalidRequest, text)
        .with("op", op)
        .violations(violations)
}

/// The status of a request whose `request_id` was used for another one before.
#[must_use]
pub fn request_id_reused(op: &str) -> Draft {
    let allowed = "must be new, or repeat the request that it was first used for";
    Draft::new(
        Code::InvalidArgument,
        Reason::RequestIdReused,
        format!("request_id: {allowed}"),
    )
    .with("op", op)
    .violations(vec![FieldViolation::new("request_id", allowed)])
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
        Denial::WrongKey => unauthenticated(
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
    }
}

/// The status of an operation whose handling failed by a defect of the facade, so that its
/// outcome is unknown.
#[must_use]
pub fn unknown_by_defect(op: &str) -> Draft {
    Draft::new(Code::Internal, Reason::InternalPanic, DEFECT)
        .with("op", op)
        .with("outcome", "unknown")
        .never_retried()
}

/// The status of a call that a panic ended.
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::call::RequestId;

    #[test]
    fn violations_that_do_not_fit_into_headers_are_counted() {
        let violation = || FieldViolation::new("members[7]", "x".repeat(90));
        let draft = invalid_request("groupadd", (0..10_000).map(|_| violation()).collect());
        let status = draft.into_status(&RequestId::of(&HeaderMap::new()));
        let details = status.get_error_details();
        let violations = details.bad_request().unwrap().field_violations.clone();
        assert_eq!(violations.len(), 41);
        assert_eq!(violations[40].description, "and 9960 more violations");
        assert!(status.details().len() < 5_500);
    }

    #[test]
    fn a_request_without_violations_has_no_text() {
        assert_eq!(invalid_request("groupadd", Vec::new()).text(), "");
    }
}
