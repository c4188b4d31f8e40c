//! JSON bodies, flat and nested, as the vendor's newer documentation has them.

use serde_json::{Map, Value};

/// The objects that hold the parameters of an operation.
const SECTIONS: [&str; 3] = ["user", "group", "message"];

/// The parameters of a JSON object, by the names that a form has for them.
///
/// Fields of `user`, `group` and `message`, and of `user.token`, count as fields of
/// the whole; an array of texts, or of objects with an `address`, is a
/// comma-separated list; `null` is an absent parameter. `None` if the body is no JSON
/// object.
pub(super) fn parameters(body: &[u8]) -> Option<Vec<(String, String)>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let mut pairs = Vec::new();
    flatten(fields, Level::Top, &mut pairs);
    Some(pairs)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Section,
    Token,
}

fn flatten(fields: Map<String, Value>, level: Level, pairs: &mut Vec<(String, String)>) {
    for (name, value) in fields {
        match (value, level) {
            (Value::Object(inner), Level::Top) if SECTIONS.contains(&name.as_str()) => {
                flatten(inner, Level::Section, pairs);
            }
            (Value::Object(inner), Level::Section) if name == "token" => {
                flatten(inner, Level::Token, pairs);
            }
            // The token of a user, which must not pass for that of the application.
            (_, Level::Section | Level::Token) if name == "token" => {}
            (value, _) => {
                if let Some(value) = text(value) {
                    pairs.push((form_name(name), value));
                }
            }
        }
    }
}

/// The value as a form has it; an object where none is expected becomes its JSON, so
/// that the operation refuses it by the parameter's name.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(value) => Some(u8::from(value).to_string()),
        Value::String(value) => Some(value),
        Value::Array(entries) => {
            let entries = entries.into_iter().filter_map(|entry| match entry {
                Value::Object(mut fields) => fields.remove("address").and_then(text),
                entry => text(entry),
            });
            Some(entries.collect::<Vec<_>>().join(","))
        }
        other => Some(other.to_string()),
    }
}

fn form_name(name: String) -> String {
    match name.as_str() {
        "address" => "addr".to_owned(),
        "flags" => "flag".to_owned(),
        "members" => "m".to_owned(),
        "message" => "msg".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &str) -> Vec<(String, String)> {
        let mut pairs = parameters(body.as_bytes()).expect("an object");
        pairs.sort();
        pairs
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn nested_objects_count_as_fields_of_the_whole() {
        let body = r#"{"op": "useradd", "token": "app", "user": {"address": "alice",
            "active": true, "name": null, "token": {"appid": "demo", "expiry": 525600}}}"#;
        let expected = [
            ("active", "1"),
            ("addr", "alice"),
            ("appid", "demo"),
            ("expiry", "525600"),
            ("op", "useradd"),
            ("token", "app"),
        ];
        assert_eq!(pairs(body), owned(&expected));
    }

    #[test]
    fn a_message_may_be_an_object_or_a_text() {
        let nested = r#"{"message": {"from": "a", "to": "b,c", "message": "hi", "flags": null}}"#;
        let expected = [("from", "a"), ("msg", "hi"), ("to", "b,c")];
        assert_eq!(pairs(nested), owned(&expected));
        assert_eq!(pairs(r#"{"message": "hi"}"#), owned(&[("msg", "hi")]));
    }

    #[test]
    fn arrays_become_lists() {
        for members in [r#"["a", "b"]"#, r#"[{"address": "a"}, {"address": "b"}]"#] {
            let body = format!(r#"{{"group": {{"members": {members}}}}}"#);
            assert_eq!(pairs(&body), owned(&[("m", "a,b")]), "{members}");
        }
    }

    #[test]
    fn the_token_of_a_user_is_not_taken_for_that_of_the_application() {
        let body = r#"{"user": {"token": "users-token"}}"#;
        assert_eq!(pairs(body), owned(&[]));
    }

    #[test]
    fn a_body_that_is_no_object_holds_nothing() {
        for body in ["", "[]", "7", "{", "{\"op\":\"x\"} more"] {
            assert_eq!(parameters(body.as_bytes()), None, "{body}");
        }
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(parameters(deep.as_bytes()), None);
    }
}
