//! The settings file: TOML, whose keys are the names of settings.

use std::{collections::HashMap, fs};

use toml::{Table, Value};

use super::settings::{APP_TOKEN, CONFIG, FACADE, SANDBOX, SERVE};

/// Reads a file into values by the names of their settings.
pub(super) fn read(path: &str) -> Result<HashMap<String, String>, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
    let table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        // The error's own text quotes the line, and with it the value.
        let before = &text[..error.span().map_or(0, |span| span.start)];
        format!(
            "expected TOML, but line {} is not",
            before.lines().count().max(1)
        )
    })?;
    table
        .into_iter()
        .map(|(name, value)| {
            if !is_known(&name) {
                return Err(format!("the file has {name}, which is no setting"));
            }
            let value = flatten(value)
                .ok_or_else(|| format!("the file has {name} as something other than its value"))?;
            Ok((name, value))
        })
        .collect()
}

fn is_known(name: &str) -> bool {
    SERVE
        .iter()
        .chain(&SANDBOX)
        .chain(&FACADE)
        .filter(|&&setting| *setting != APP_TOKEN && *setting != CONFIG)
        .any(|setting| setting.name == name)
}

/// A value as a flag would have it: a table is a list of `key=value`.
fn flatten(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect::<Option<Vec<_>>>()
            .map(|entries| entries.join(",")),
        _ => None,
    }
}
