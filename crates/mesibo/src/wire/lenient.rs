//! Readers of loosely typed JSON. Each accepts every form in which servers were seen to
//! write a value, and gives `None` for all others.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A number, as a JSON number or as a string of digits.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// A number that identifies something. 0 identifies nothing.
pub(super) fn id(value: &Value) -> Option<u64> {
    number(value).filter(|&id| id != 0)
}

/// A boolean, as true or false, or as 1 or 0, bare or quoted.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(number) => match number.as_u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim() {
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
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A point in time, as seconds since 1970 or as `YYYY-MM-DD hh:mm:ss` in UTC. 0 is none:
/// PHP writes it for "never".
pub(super) fn time(value: &Value) -> Option<SystemTime> {
    match (number(value), value) {
        (Some(0), _) => None,
        (Some(seconds), _) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        (None, Value::String(text)) => humantime::parse_rfc3339_weak(text.trim()).ok(),
        (None, _) => None,
    }
}

/// The items of a list: an array, or a map of index to item, in the order of the indices.
/// null is an empty list: PHP writes empty maps and empty lists alike.
pub(super) fn list(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => Some(items.iter().collect()),
        Value::Object(map) => {
            let mut items = map
                .iter()
                .map(|(index, item)| Some((index.parse::<u64>().ok()?, item)))
                .collect::<Option<Vec<_>>>()?;
            items.sort_by_key(|&(index, _)| index);
            Some(items.into_iter().map(|(_, item)| item).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_bare_or_quoted() {
        assert_eq!(number(&json!(5302)), Some(5302));
        assert_eq!(number(&json!("5302")), Some(5302));
        assert_eq!(number(&json!("18446744073709551615")), Some(u64::MAX));
        for other in [
            json!(-1),
            json!(1.5),
            json!("18446744073709551616"),
            json!("0x1f"),
            json!(""),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(number(&other), None, "{other}");
        }
        assert_eq!(id(&json!("0")), None);
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
            assert_eq!(boolean(&value), Some(expected), "{value}");
        }
        for other in [json!(2), json!("yes"), json!(null), json!({})] {
            assert_eq!(boolean(&other), None, "{other}");
        }
    }

    #[test]
    fn a_text_may_be_a_bare_number() {
        assert_eq!(text(&json!("bob")), Some("bob".into()));
        assert_eq!(
            text(&json!(919_876_543_210_u64)),
            Some("919876543210".into())
        );
        for other in [json!(""), json!(null), json!(true), json!([])] {
            assert_eq!(text(&other), None, "{other}");
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
            assert_eq!(time(&value), Some(expected), "{value}");
        }
        for other in [
            json!(0),
            json!("0000-00-00 00:00:00"),
            json!("never"),
            json!(null),
            json!(u64::MAX),
        ] {
            assert_eq!(time(&other), None, "{other}");
        }
    }

    #[test]
    fn lists_come_as_arrays_or_as_maps_in_the_order_of_their_indices() {
        assert_eq!(list(&json!([7, 8])), Some(vec![&json!(7), &json!(8)]));
        let map = json!({"10": "c", "9": "b", "0": "a"});
        assert_eq!(
            list(&map),
            Some(vec![&json!("a"), &json!("b"), &json!("c")])
        );
        for empty in [json!([]), json!({}), json!(null)] {
            assert_eq!(list(&empty), Some(vec![]), "{empty}");
        }
        for other in [json!("a,b"), json!(1), json!({"uid": 1})] {
            assert_eq!(list(&other), None, "{other}");
        }
    }
}
