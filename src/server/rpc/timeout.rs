//! The deadline that a client sets.
//!
//! A handler that calls Mesibo gives up at the deadline itself, for only it knows
//! whether the request was sent. The server decides the deadline, and answers where no
//! handler does, such as while the request message is still on its way. tonic's own
//! time-out answers CANCELLED, where clients expect `DEADLINE_EXCEEDED`.

use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use super::protocol::Form;
use crate::status::{self, Draft, Reason};

const TIMEOUT_HEADER: &str = "grpc-timeout";

/// The header of Connect.
const CONNECT_TIMEOUT_HEADER: &str = "connect-timeout-ms";

/// How much later than a handler the server answers, so that the answer of the handler,
/// which knows more, comes first.
pub(super) const HEAD_START: Duration = Duration::from_millis(50);

/// The time that a client gives a call. `None` if it sets no deadline.
pub(super) fn of(form: Form, headers: &HeaderMap) -> Result<Option<Duration>, Draft> {
    let (name, parse, allowed): (_, fn(&str) -> _, _) = match form {
        Form::Grpc | Form::Web { .. } => (
            TIMEOUT_HEADER,
            parse,
            "grpc-timeout must be one to eight digits and a unit of H, M, S, m, u or n",
        ),
        Form::Connect(_) => (
            CONNECT_TIMEOUT_HEADER,
            parse_milliseconds,
            "connect-timeout-ms must be one to ten digits, a number of milliseconds",
        ),
    };
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(parse);
    timeout
        .map(Some)
        .ok_or_else(|| status::refuse(Code::InvalidArgument, Reason::InvalidTimeout, allowed))
}

/// The status of a call whose deadline has passed.
pub(super) fn exceeded() -> Draft {
    status::refuse(
        Code::DeadlineExceeded,
        Reason::DeadlineExceeded,
        "the deadline passed before the request was complete",
    )
}

/// Reads a `connect-timeout-ms`, as Connect's protocol defines it.
fn parse_milliseconds(value: &str) -> Option<Duration> {
    let is_right = (1..=10).contains(&value.len()) && value.bytes().all(|it| it.is_ascii_digit());
    let milliseconds = value.parse().ok().filter(|_| is_right);
    milliseconds.map(Duration::from_millis)
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
    use http::HeaderValue;
    use proptest::{collection::vec, prop_assert_eq, prop_oneof, strategy::Strategy};

    use super::*;
    use crate::fuzz;

    /// Values of all bytes, and values that are nearly right.
    fn values() -> impl Strategy<Value = Vec<u8>> {
        let right = "[0-9]{0,10}[HMSmunh]{0,2}".prop_map(String::into_bytes);
        prop_oneof![vec(proptest::num::u8::ANY, 0..12), right]
    }

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
    fn timeouts_of_connect_are_milliseconds_of_one_to_ten_digits() {
        for (value, expected) in [("0", 0), ("250", 250), ("9999999999", 9_999_999_999)] {
            let expected = Duration::from_millis(expected);
            assert_eq!(parse_milliseconds(value), Some(expected), "{value}");
        }
        for value in ["", "-1", "+1", "1.5", "1m", " 1", "10000000000", "é"] {
            assert_eq!(parse_milliseconds(value), None, "{value}");
        }
    }

    #[test]
    fn any_header_is_a_timeout_or_is_refused() {
        fuzz::holds(&values(), |bytes| {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let expected = match bytes.split_last() {
                Some((unit, digits)) if (1..=8).contains(&digits.len()) => {
                    let number = digits.iter().all(is_digit).then(|| {
                        digits
                            .iter()
                            .fold(0, |number, digit| number * 10 + u128::from(digit - b'0'))
                    });
                    let nanos: Option<u128> = match unit {
                        b'H' => Some(3_600_000_000_000),
                        b'M' => Some(60_000_000_000),
                        b'S' => Some(1_000_000_000),
                        b'm' => Some(1_000_000),
                        b'u' => Some(1_000),
                        b'n' => Some(1),
                        _ => None,
                    };
                    number.zip(nanos).map(|(number, nanos)| number * nanos)
                }
                _ => None,
            };
            let Ok(value) = HeaderValue::from_bytes(&bytes) else {
                return Ok(());
            };
            let headers = HeaderMap::from_iter([(TIMEOUT_HEADER.parse().unwrap(), value)]);
            let timeout = of(Form::Grpc, &headers).ok().flatten();
            prop_assert_eq!(timeout.map(|timeout| timeout.as_nanos()), expected);
            Ok(())
        });
    }
}
