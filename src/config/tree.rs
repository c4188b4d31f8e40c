//! TOML as a tree with the line of each value, and scalars as flags would have them.
//!
//! The tables are not structs of serde: serde stops at the first mistake, quotes values that
//! may be secret, and says no line.

use std::collections::BTreeMap;

use ring::digest::Context;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// Values by their keys.
pub(super) type Table = BTreeMap<String, Node>;

/// A value, and the line that it begins on.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value of TOML, with scalars as a flag would have them.
pub(super) enum Value {
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Table(Table),
}

/// The ends of the lines of a text.
struct Lines(Vec<usize>);

impl Node {
    /// The value as a flag would have it: a table is a list of `key=value`. A list has no
    /// such form.
    pub(super) fn flatten(&self) -> Option<Zeroizing<String>> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::List(_) => None,
            Value::Table(table) => {
                let entries = table.iter().map(|(key, node)| match &node.value {
                    Value::Text(text) => Some(format!("{key}={}", text.as_str())),
                    _ => None,
                });
                let entries: Option<Vec<_>> = entries.collect();
                Some(Zeroizing::new(entries?.join(",")))
            }
        }
    }
}

impl Lines {
    fn of_text(text: &[u8]) -> Self {
        let bytes = text.iter().enumerate();
        Self(
            bytes
                .filter(|(_, byte)| **byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    /// The number of the line of the byte at an index, from 1 on.
    fn of(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

/// The tree of what a file holds, or what is wrong with it and on which line.
pub(super) fn parse(content: &[u8]) -> Result<Table, (usize, String)> {
    let lines = Lines::of_text(content);
    let text = str::from_utf8(content)
        .map_err(|error| (lines.of(error.valid_up_to()), "expected UTF-8".into()))?;
    // A file that is being written may end anywhere, and lose a restriction that way.
    if !text.is_empty() && !text.ends_with('\n') {
        let what = "expected a newline at the end, without which the file may be incomplete";
        return Err((lines.of(text.len()), what.into()));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    // What comes after the first error often follows from it.
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        // The message alone: the whole error quotes the line, and with it the value.
        let what = format!("expected TOML: {}", error.message().replace('\n', ", "));
        return Err((lines.of(start(error)), what));
    }
    Ok(table_of(table.get_ref(), &lines))
}

fn table_of(table: &DeTable, lines: &Lines) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let line = lines.of(key.span().start);
        let value = value_of(value.get_ref(), lines);
        (key.get_ref().to_string(), Node { line, value })
    });
    entries.collect()
}

fn value_of(value: &DeValue, lines: &Lines) -> Value {
    let scalar = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.to_string(), |number| number.to_string()),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(values) => {
            let values = values.iter().map(|value| Node {
                line: lines.of(value.span().start),
                value: value_of(value.get_ref(), lines),
            });
            return Value::List(values.collect());
        }
        DeValue::Table(table) => return Value::Table(table_of(table, lines)),
    };
    Value::Text(Zeroizing::new(scalar))
}

/// Feeds a digest with a table, each part with its length, so that no two tables give the same bytes.
pub(super) fn feed(digest: &mut Context, table: &Table) {
    digest.update(&table.len().to_be_bytes());
    for (key, node) in table {
        feed_text(digest, key);
        feed_value(digest, &node.value);
    }
}

fn feed_value(digest: &mut Context, value: &Value) {
    match value {
        Value::Text(text) => {
            digest.update(b"text");
            feed_text(digest, text);
        }
        Value::List(values) => {
            digest.update(b"list");
            digest.update(&values.len().to_be_bytes());
            for node in values {
                feed_value(digest, &node.value);
            }
        }
        Value::Table(table) => {
            digest.update(b"table");
            feed(digest, table);
        }
    }
}

fn feed_text(digest: &mut Context, text: &str) {
    digest.update(&text.len().to_be_bytes());
    digest.update(text.as_bytes());
}
