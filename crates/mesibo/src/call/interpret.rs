//! What the HTTP answer to an operation means for its call.

use secrecy::SecretString;

use crate::{
    error::{Cause, Failure},
    net::{Answer, Body},
    wire::{self, FromReply, NotDone, excerpt, is_error_code},
};

/// Reads the answer to an operation of this name.
///
/// # Errors
///
/// If it is not a reply that has what the operation promises.
pub(super) fn interpret<R: FromReply>(
    op: &str,
    answer: Answer,
    token: &SecretString,
) -> Result<R, (Failure, Cause)> {
    let Answer {
        status,
        retry_after,
        body,
    } = answer;
    if status.is_redirection() {
        let status = status.as_u16();
        return Err((Failure::Redirect { status }, None));
    }
    let http = Failure::Http {
        status: status.as_u16(),
        retry_after,
    };
    let malformed = |problem, body: &[u8]| Failure::Malformed {
        problem,
        excerpt: excerpt(body, token),
    };
    let refused = |error: Option<String>, body: &[u8]| {
        let (code, excerpt) = match error {
            Some(code) if is_error_code(&code, token) => (Some(code), None),
            Some(other) => (None, Some(excerpt(other.as_bytes(), token))),
            None => (None, Some(excerpt(body, token))),
        };
        Failure::Refused {
            code,
            excerpt,
            retry_after,
        }
    };
    let body = match body {
        Body::Whole(body) => body,
        _ if !status.is_success() => return Err((http, None)),
        Body::TooLarge(start) => {
            return Err((malformed("the reply is too large", &start), None));
        }
        Body::Lost(error) => return Err((Failure::ConnectionLost, Some(error))),
    };
    match (status.is_success(), wire::read(&body, op)) {
        (true, Ok(reply)) => Ok(reply),
        (true, Err(NotDone::Unreadable(problem))) => Err((malformed(problem, &body), None)),
        (_, Err(NotDone::Refused(error))) => Err((refused(error, &body), None)),
        (true, Err(NotDone::Error(error))) => Err((refused(Some(error), &body), None)),
        // Under an HTTP error, a success is not to be relied on, and an error without a
        // result may be that of a gateway.
        (false, _) => Err((http, None)),
    }
}
