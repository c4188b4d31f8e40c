//! The one road from a failure to a gRPC status.
//!
//! Every status carries `google.rpc.ErrorInfo`. Its domain is [`MESIBO_DOMAIN`]
//! where Mesibo said no, with Mesibo's own code as the reason, and [`DOMAIN`] where
//! the facade did, with a [`Reason`]. Texts are for people; none holds a token or
//! anything else that a peer made up, but for Mesibo's error code.

mod error_codes;
mod reason;

use std::{collections::HashMap, time::Duration};

use prost::Message as _;
use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::{
    access::Denial,
    mesibo::{Error, Failure, Idempotency},
};
pub use error_codes::ErrorCodes;
pub use reason::Reason;

/// `ErrorInfo.domain` of what the facade itself refused or could not do.
pub const DOMAIN: &str = "mesibo-grpc";

/// `ErrorInfo.domain` of what Mesibo refused.
pub const MESIBO_DOMAIN: &str = "mesibo.com";

/// `ErrorInfo.reason` of a refusal in which Mesibo gave no error code.
const NO_ERROR_CODE: &str = "NO_ERROR_CODE";

/// gRFC A6: a negative value tells gRPC's own retries to leave a call alone.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What a server that cannot read a message can read, as gRPC's doc/compression.md wants
/// it told.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The type of the detail that has the id of a call.
const REQUEST_INFO: &str = "type.googleapis.com/google.rpc.RequestInfo";

/// Headers are small: 8 KiB with most clients, base64 and all the rest included.
const MAX_VIOLATION_BYTES: usize = 4_000;

/// The status of a call to Mesibo that failed.
#[must_use]
pub fn from_error(error: &Error, codes: &ErrorCodes) -> Status {
    let op = error.op();
    let mut draft = match error.failure() {
        Failure::Refused { code, retry_after } => {
            Draft::refused(op, code.as_deref(), codes).retry_after(*retry_after)
        }
        Failure::Http {
            status,
            retry_after,
        } => Draft::new(
            from_http_status(*status),
            Reason::UpstreamHttpStatus,
            format!("Mesibo answered {op} with HTTP status {status} and no reply"),
        )
        .with("http_status", status.to_string())
        .retry_after(*retry_after),
        Failure::Redirect { status } => Draft::new(
            Code::Internal,
            Reason::UnexpectedRedirect,
            format!(
                "Mesibo answered {op} with a redirect, which is never followed; \
                 the facade's operator must set the URL that it leads to"
            ),
        )
        .with("http_status", status.to_string()),
        Failure::Unreachable => Draft::new(
            Code::Unavailable,
            Reason::UpstreamUnreachable,
            format!("Mesibo cannot be reached; {op} was not sent, so try it again"),
        ),
        Failure::Overloaded { retry_after } => Draft::new(
            Code::Unavailable,
            Reason::Overloaded,
            format!("too many calls to Mesibo are in flight; {op} was not sent, so try it again"),
        )
        .retry_after(Some(*retry_after)),
        Failure::Down { retry_after } => Draft::new(
            Code::Unavailable,
            Reason::UpstreamDown,
            format!("Mesibo does not answer; {op} was not sent, so try it again later"),
        )
        .retry_after(Some(*retry_after)),
        Failure::ConnectionLost => Draft::new(
            Code::Unavailable,
            Reason::ConnectionLost,
            format!("the connection to Mesibo was lost before it answered {op}"),
        ),
        Failure::OutOfTime { sent } => Draft::new(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            format!(
                "the deadline passed before {op} was {}",
                if *sent { "answered" } else { "sent" }
            ),
        ),
        Failure::Malformed { .. } => Draft::new(
            Code::Internal,
            Reason::MalformedReply,
            format!("Mesibo answered {op} with something that is not its reply"),
        ),
    }
    .with("op", op)
    .with("attempts", error.attempts().to_string());

    if error.outcome_unknown() {
        draft = draft.with("outcome", "unknown");
        if error.idempotency() == Idempotency::NotIdempotent {
            draft.leave_alone();
        } else {
            draft.text += "; it may have been carried out, and is safe to repeat";
        }
    }
    draft.into_status()
}

/// The status of a request that breaks rules of the contract. Violations that do
/// not fit into the headers of a response are counted instead.
#[must_use]
pub fn invalid_request(op: &str, mut violations: Vec<FieldViolation>) -> Status {
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

    let rest = match total - 1 {
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

    let mut draft = Draft::new(Code::InvalidArgument, Reason::InvalidRequest, text).with("op", op);
    draft.violations = violations;
    draft.into_status()
}

/// The status of a request whose `request_id` was used for another one before.
#[must_use]
pub fn request_id_reused(op: &str) -> Status {
    let allowed = "must be new, or repeat the request that it was first used for";
    let mut draft = Draft::new(
        Code::InvalidArgument,
        Reason::RequestIdReused,
        format!("request_id: {allowed}"),
    )
    .with("op", op);
    draft.violations = vec![FieldViolation::new("request_id", allowed)];
    draft.into_status()
}

/// The status of a call that is not allowed.
#[must_use]
pub fn denied(denial: &Denial) -> Status {
    let reason = denial.reason();
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
    .into_status()
}

/// The status of a call whose handling failed by a defect of the facade.
#[must_use]
pub fn defect(op: &str) -> Status {
    let text = "the facade has a defect; its log has more";
    let mut draft = Draft::new(Code::Internal, Reason::InternalPanic, text)
        .with("op", op)
        .with("outcome", "unknown");
    draft.leave_alone();
    draft.into_status()
}

/// A status that the facade gives for a reason of its own, outside of any
/// operation.
#[must_use]
pub fn refuse(code: Code, reason: Reason, text: impl Into<String>) -> Status {
    Draft::new(code, reason, text).into_status()
}

/// The status that takes the place of one that a library made, without details.
#[must_use]
pub fn complete(status: &Status, path: &str) -> Status {
    let text = status.message();
    match status.code() {
        // What tonic makes of a message above the limit; its text has both sizes.
        Code::OutOfRange => refuse(Code::ResourceExhausted, Reason::MessageTooLarge, text),
        Code::Unimplemented if text.is_empty() => refuse(
            Code::Unimplemented,
            Reason::UnknownMethod,
            format!("there is no method {path}; server reflection lists those there are"),
        ),
        // tonic's text has the encoding that the caller made up.
        Code::Unimplemented => {
            let text = "the request message is compressed, which is not supported";
            let mut complete = refuse(Code::Unimplemented, Reason::MalformedRequest, text);
            if let Some(supported) = status.metadata().get(ACCEPT_ENCODING) {
                let metadata = complete.metadata_mut();
                metadata.insert(ACCEPT_ENCODING, supported.clone());
            }
            complete
        }
        code => refuse(code, Reason::MalformedRequest, text),
    }
}

/// The status with the id of its call among its details.
#[must_use]
pub fn with_request_id(status: &Status, id: &str) -> Status {
    let Ok(mut details) = tonic_types::pb::Status::decode(status.details()) else {
        return status.clone();
    };
    let info = tonic_types::pb::RequestInfo {
        request_id: id.to_owned(),
        serving_data: String::new(),
    };
    details.details.push(prost_types::Any {
        type_url: REQUEST_INFO.to_owned(),
        value: info.encode_to_vec(),
    });
    Status::with_details_and_metadata(
        status.code(),
        status.message(),
        details.encode_to_vec().into(),
        status.metadata().clone(),
    )
}

/// All that goes into a status.
struct Draft {
    code: Code,
    text: String,
    domain: &'static str,
    reason: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    no_retry: bool,
}

impl Draft {
    /// The facade said no.
    fn new(code: Code, reason: Reason, text: impl Into<String>) -> Self {
        Self::of(DOMAIN, reason.as_str(), code, text.into())
    }

    /// Mesibo said no.
    fn refused(op: &str, code: Option<&str>, codes: &ErrorCodes) -> Self {
        let reason = code.unwrap_or(NO_ERROR_CODE);
        let code = codes.get(reason);
        Self::of(MESIBO_DOMAIN, reason, code, refusal(op, reason, code))
    }

    fn of(domain: &'static str, reason: &str, code: Code, text: String) -> Self {
        Self {
            code,
            text,
            domain,
            reason: reason.to_owned(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            retry_after: None,
            no_retry: false,
        }
    }

    fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Makes sure that no retry policy repeats the call.
    fn leave_alone(&mut self) {
        self.text += "; it may have been carried out, so check before you repeat it";
        self.retry_after = None;
        self.no_retry = true;
        // Every stock retry policy repeats UNAVAILABLE.
        if self.code == Code::Unavailable {
            self.code = Code::Unknown;
        }
    }

    fn into_status(self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason, self.domain, self.metadata);
        if !self.violations.is_empty() {
            details.set_bad_request(self.violations);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let mut status = Status::with_error_details(self.code, self.text, details);
        if self.no_retry {
            status
                .metadata_mut()
                .insert(RETRY_PUSHBACK, MetadataValue::from_static("-1"));
        }
        status
    }
}

/// What to tell a person about a refusal.
fn refusal(op: &str, reason: &str, code: Code) -> String {
    let advice = match code {
        Code::Unauthenticated => {
            return format!(
                "Mesibo rejected the facade's application token ({reason}), not the caller's \
                 credentials; the facade's operator must set a valid one"
            );
        }
        Code::Unimplemented => "check the facade's upstream URL and Mesibo's version",
        Code::PermissionDenied => "check the application and its users in Mesibo's console",
        Code::AlreadyExists => "use what exists, or another name",
        Code::NotFound => "check ids and addresses",
        Code::InvalidArgument => "check the values of the request",
        Code::ResourceExhausted => "wait, or raise the application's limits at Mesibo",
        _ => "ask Mesibo what it means",
    };
    format!("Mesibo refused {op} with {reason}; {advice}")
}

/// gRPC's own table, doc/http-grpc-status-mapping.md.
fn from_http_status(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_that_do_not_fit_into_headers_are_counted() {
        let violation = || FieldViolation::new("members[7]", "x".repeat(90));
        let status = invalid_request("groupadd", (0..10_000).map(|_| violation()).collect());
        let details = status.get_error_details();
        let violations = details.bad_request().unwrap().field_violations.clone();
        assert_eq!(violations.len(), 41);
        assert_eq!(violations[40].description, "and 9960 more violations");
        assert!(status.details().len() < 5_500);
    }
}
