//! By when a call must be answered.
//!
//! A handler that calls Mesibo gives up at the deadline itself, for only it knows
//! whether the request was sent. This layer decides the deadline, and answers where
//! no handler does, such as while the request message is still on its way. tonic's
//! own time-out does not do: it answers CANCELLED.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use crate::status::{self, Reason};

const TIMEOUT_HEADER: &str = "grpc-timeout";

/// How much later than a handler the layer answers, so that the handler's answer,
/// which knows more, comes first.
const HEAD_START: Duration = Duration::from_millis(50);

/// By when calls must be answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a call that sets no deadline.
    pub default: Duration,
    /// For a call that sets a later one.
    pub longest: Duration,
}

/// What comes of `answer`, or a moment after the deadline what it means that nothing does.
pub(super) async fn by<T>(deadline: Instant, answer: impl Future<Output = T>) -> Result<T, Status> {
    timeout_at(deadline + HEAD_START, answer)
        .await
        .map_err(|_| {
            status::refuse(
                Code::DeadlineExceeded,
                Reason::DeadlineExceeded,
                "the deadline passed before the request was complete",
            )
        })
}

impl Deadlines {
    /// How long a call with these headers may take.
    pub(super) fn of(&self, headers: &HeaderMap) -> Result<Duration, Status> {
        let Some(value) = headers.get(TIMEOUT_HEADER) else {
            return Ok(self.default);
        };
        let timeout = value.to_str().ok().and_then(parse).ok_or_else(|| {
            status::refuse(
                Code::InvalidArgument,
                Reason::InvalidTimeout,
                "grpc-timeout must be one to eight digits and a unit of H, M, S, m, u or n",
            )
        })?;
        Ok(timeout.min(self.longest))
    }
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
    use http::{HeaderName, HeaderValue};

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

    #[test]
    fn a_deadline_is_the_callers_the_default_or_the_longest() {
        let deadlines = Deadlines {
            default: Duration::from_secs(15),
            longest: Duration::from_mins(1),
        };
        let of = |timeout: Option<&'static str>| {
            let name = HeaderName::from_static(TIMEOUT_HEADER);
            let header = timeout.map(|timeout| (name, HeaderValue::from_static(timeout)));
            deadlines.of(&header.into_iter().collect()).unwrap()
        };
        assert_eq!(of(None), deadlines.default);
        assert_eq!(of(Some("30S")), Duration::from_secs(30));
        assert_eq!(of(Some("2H")), deadlines.longest);
    }
}
