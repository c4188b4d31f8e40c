//! Readers of loosely typed JSON. Each accepts every form in which servers were seen to
//! write a value, and gives `None` for all others.

use std::time::{Duration, SystemTime};

use super::json::Json;

/// A number, as a JSON number or as a string of digits.
pub(super) fn number<T>(value: &Json<T>) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64(),
        Json::Text(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// A number that identifies something. 0 identifies nothing.
pub(super) fn id<T>(value: &Json<T>) -> Option<u64> {
    number(value).filter(|&id| id != 0)
}

/// A boolean, as true or false, or as 1 or 0, bare or quoted.
pub(super) fn boolean<T>(value: &Json<T>) -> Option<bool> {
    match value {
        Json::Boolean(boolean) => Some(*boolean),
        Json::Number(number) => match number.as_u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Json::Text(text) => match text.trim() {
            "0" => Some(false),
            "1" => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            text if text.eq_ignore_ascii_case("true") => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// A text that is not empty, as a string or as a number: PHP makes no difference between
/// `"1234"` and `1234`.
pub(super) fn text<T>(value: Json<T>) -> Option<String> {
    match value {
        Json::Text(text) if !text.is_empty() => Some(text.into_owned()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A point in time, as seconds since 1970 or as `YYYY-MM-DD hh:mm:ss` in UTC. 0 is none:
/// PHP writes it for "never".
pub(super) fn time<T>(value: &Json<T>) -> Option<SystemTime> {
    match (number(value), value) {
        (Some(0), _) => None,
        (Some(seconds), _) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        (None, Json::Text(text)) => humantime::parse_rfc3339_weak(text.trim()).ok(),
        (None, _) => None,
    }
}

/// The result of an operation: a [`boolean`], or `OK` or `FAIL` in any case.
pub(super) fn result<T>(value: &Json<T>) -> Option<bool> {
    boolean(value).or_else(|| match value {
        Json::Text(text) if text.trim().eq_ignore_ascii_case("OK") => Some(true),
        Json::Text(text) if text.trim().eq_ignore_ascii_case("FAIL") => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde::de::Deserialize as _;
    use serde_json::{Value, json};

    use super::{super::json::Scalar, *};

    fn scalar(value: &Value) -> Scalar<'_> {
        Scalar::deserialize(value).unwrap()
    }

    #[test]
    fn numbers_come_bare_or_quoted() {
        assert_eq!(number(&scalar(&json!(5302))), Some(5302));
        assert_eq!(number(&scalar(&json!("5302"))), Some(5302));
        assert_eq!(
            number(&scalar(&json!("18446744073709551615"))),
            Some(u64::MAX)
        );
        for other in [
            json!(-1),
            json!(1.5),
            json!("18446744073709551616"),
            json!("0x1f"),
            json!(""),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(number(&scalar(&other)), None, "{other}");
        }
        assert_eq!(id(&scalar(&json!("0"))), None);
    }

    #[test]
    fn booleans_come_in_six_forms() {
        for (value, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!("1"), true),
            (json!("True"), true),
            (json!(false), false),
            (json!(0), false),
            (json!("0"), false),
            (json!("false"), false),
        ] {
            assert_eq!(boolean(&scalar(&value)), Some(expected), "{value}");
        }
        for other in [json!(2), json!("yes"), json!(null), json!({})] {
            assert_eq!(boolean(&scalar(&other)), None, "{other}");
        }
    }

    #[test]
    fn a_text_may_be_a_bare_number() {
        assert_eq!(text(scalar(&json!("bob"))), Some("bob".into()));
        assert_eq!(
            text(scalar(&json!(919_876_543_210_u64))),
            Some("919876543210".into())
        );
        for other in [json!(""), json!(null), json!(true), json!([])] {
            assert_eq!(text(scalar(&other)), None, "{other}");
        }
    }

    #[test]
    fn times_come_as_seconds_or_as_text_in_utc() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_598_999_925);
        for value in [
            json!(1_598_999_925),
            json!("1598999925"),
            json!("2020-09-01 22:38:45"),
        ] {
            assert_eq!(time(&scalar(&value)), Some(expected), "{value}");
        }
        for other in [
            json!(0),
            json!("0000-00-00 00:00:00"),
            json!("never"),
            json!(null),
            json!(u64::MAX),
        ] {
            assert_eq!(time(&scalar(&other)), None, "{other}");
        }
    }
}
