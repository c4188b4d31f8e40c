//! The deadline that a client sets.
//!
//! A handler that calls Mesibo gives up at the deadline itself, for only it knows
//! whether the request was sent. The server decides the deadline, and answers where no
//! handler does, such as while the request message is still on its way. tonic's own
//! time-out answers CANCELLED, where clients expect `DEADLINE_EXCEEDED`.

use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use crate::status::{self, Draft, Reason};

const TIMEOUT_HEADER: &str = "grpc-timeout";

/// How much later than a handler the server answers, so that the answer of the handler,
/// which knows more, comes first.
pub(super) const HEAD_START: Duration = Duration::from_millis(50);

/// The time that a client gives a call. `None` if it sets no deadline.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Draft> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(parse);
    timeout.map(Some).ok_or_else(|| {
        status::refuse(
            Code::InvalidArgument,
            Reason::InvalidTimeout,
            "grpc-timeout must be one to eight digits and a unit of H, M, S, m, u or n",
        )
    })
}

/// The status of a call whose deadline has passed.
pub(super) fn exceeded() -> Draft {
    status::refuse(
        Code::DeadlineExceeded,
        Reason::DeadlineExceeded,
        "the deadline passed before the request was complete",
    )
}

/// Reads a `grpc-timeout`, as gRPC's doc/PROTOCOL-HTTP2.md defines it.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_one_to_eight_digits_and_a_unit() {
        for (value, expected) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("0S", Duration::ZERO),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("7u", Duration::from_micros(7)),
            ("8n", Duration::from_nanos(8)),
        ] {
            assert_eq!(parse(value), Some(expected), "{value}");
        }
        for value in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1 S",
            "é",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
