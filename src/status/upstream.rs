//! The statuses of calls to Mesibo that failed.

use mesibo::{Error, Failure, Idempotency, operation::op};
use tonic::Code;

use super::{Draft, ErrorCodes, MESIBO_DOMAIN, Reason};

/// `ErrorInfo.reason` of a refusal in which Mesibo gave no error code.
const NO_ERROR_CODE: &str = "NO_ERROR_CODE";

/// The status of a call to Mesibo that failed, as the error table of the contract has it.
#[must_use]
pub fn from_error(error: &Error, codes: &ErrorCodes) -> Draft {
    let op = error.op();
    let draft = match error.failure() {
        Failure::Refused {
            code, retry_after, ..
        } => refused(op, code.as_deref(), codes).retry_after(*retry_after),
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
        Failure::Cancelled => Draft::new(
            Code::Cancelled,
            Reason::Cancelled,
            format!("the client went away before {op} was sent"),
        ),
        Failure::Malformed { .. } => Draft::new(
            Code::Internal,
            Reason::MalformedReply,
            format!("Mesibo answered {op} with something that is not its reply"),
        ),
    }
    .with("op", op)
    .with("attempts", error.attempts().to_string());

    if !error.outcome_unknown() {
        return draft;
    }
    let draft = draft.with("outcome", "unknown");
    if error.idempotency() == Idempotency::NotIdempotent {
        return draft.never_retried();
    }
    draft.and("; it may have been carried out, and is safe to repeat")
}

/// Mesibo said no.
fn refused(op: &str, code: Option<&str>, codes: &ErrorCodes) -> Draft {
    let reason = code.unwrap_or(NO_ERROR_CODE);
    let code = codes.get(reason);
    Draft::of(MESIBO_DOMAIN, reason, code, refusal(op, reason, code))
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
        Code::NotFound if op == op::MESSAGE && reason == "NOUSER" => {
            "it does not know the sender or a receiver, and does not say which"
        }
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
