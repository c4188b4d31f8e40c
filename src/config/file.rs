//! The settings file: TOML, whose keys are the names of settings, with a table for each
//! app and for each caller.
//!
//! It is read as a tree with line numbers, not into structs of serde: serde stops at the
//! first mistake, quotes values that may be secret, and says no line.

use std::{collections::BTreeMap, path::Path};

use ring::digest::{Context, SHA256};
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::{
    mistakes::{Given, Mistakes, Origin, nearest, suggestion},
    settings::{About, CONFIG, Places, UPSTREAM_PROXY},
    values::{files, urls},
};

/// The table of the apps' tables.
pub(super) const APPS: &str = "apps";

/// The table of the callers' tables.
pub(super) const CALLERS: &str = "callers";

/// The content of a settings file. It may hold a secret, so it has no `Debug`.
#[derive(Default)]
pub(super) struct File {
    path: String,
    settings: Table,
    apps: Table,
    callers: Table,
    is_exposed: bool,
}

/// Values by their keys.
pub(super) type Table = BTreeMap<String, Node>;

/// A value, and the line that it begins on.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value of TOML, with scalars as a flag would have them.
#[derive(Clone)]
pub(super) enum Value {
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Table(Table),
}

/// The ends of the lines of a text.
struct Lines(Vec<usize>);

/// The SHA-256 of settings.
pub(super) type Fingerprint = [u8; 32];

impl File {
    /// Reads a file. `known` are the settings that it may have.
    pub(super) fn read(path: &Path, known: &[&About]) -> Result<Self, Mistakes> {
        let path = path.display().to_string();
        let mut mistakes = Mistakes::default();
        let root = match parse(&path) {
            Ok(root) => root,
            Err((line, what)) => {
                let line = line.map_or(String::new(), |line| format!(":{line}"));
                mistakes.push_value(CONFIG.name(), what, &format!("{path}{line}"), None);
                return Err(mistakes);
            }
        };
        let mut file = Self {
            path,
            settings: root,
            ..Self::default()
        };
        file.apps = file.take_tables(APPS, &mut mistakes);
        file.callers = file.take_tables(CALLERS, &mut mistakes);
        file.check_names(known, &mut mistakes);
        match file.check_mode() {
            Ok(is_exposed) => file.is_exposed = is_exposed,
            Err(mistake) => mistakes.push_value(CONFIG.name(), mistake, &file.path, None),
        }
        mistakes.or(file)
    }

    /// The path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether every user can read the file although it holds a secret, and this process
    /// cannot help it.
    pub(super) fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    /// The apps' tables.
    pub(super) fn apps(&self) -> &Table {
        &self.apps
    }

    /// The callers' tables.
    pub(super) fn callers(&self) -> &Table {
        &self.callers
    }

    /// The value of a setting.
    pub(super) fn setting(&self, about: &About) -> Option<Given> {
        let node = self.settings.get(about.name)?;
        // A list has no form that a parser knows, so that its setting is a mistake.
        let value = node.flatten().unwrap_or_default();
        Some(Given {
            value,
            origin: Origin::Line {
                file: self.path.clone(),
                line: node.line,
            },
        })
    }

    /// The SHA-256 of all but the callers, which change without a restart.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut digest = Context::new(&SHA256);
        for table in [&self.settings, &self.apps] {
            feed_table(&mut digest, table);
        }
        let digest = digest.finish();
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Takes a table of tables out of the settings.
    fn take_tables(&mut self, name: &str, mistakes: &mut Mistakes) -> Table {
        let Some(Node { line, value }) = self.settings.remove(name) else {
            return Table::new();
        };
        if let Value::Table(table) = value {
            return table;
        }
        let place = format!("{}:{line}", self.path);
        let what = format!("expected tables, such as [{name}.NAME]");
        mistakes.push_value(name, what, &place, None);
        Table::new()
    }

    fn check_names(&self, known: &[&About], mistakes: &mut Mistakes) {
        let in_file = |about: &&&About| about.places == Places::All;
        let known: Vec<_> = known.iter().filter(in_file).map(|it| it.name).collect();
        for (name, node) in &self.settings {
            let is_known = known.contains(&name.as_str());
            let is_list = matches!(node.value, Value::List(_));
            let what = match (is_known, is_list) {
                (true, false) => continue,
                (true, true) => "expected one value, not a list".to_owned(),
                (false, _) => {
                    let names = known.iter().copied().chain([APPS, CALLERS]);
                    format!("no such setting{}", suggestion(nearest(name, names)))
                }
            };
            mistakes.push_value(name, what, &format!("{}:{}", self.path, node.line), None);
        }
    }

    /// Checks who else can write the file, and who can read it if it holds a secret.
    fn check_mode(&self) -> Result<bool, String> {
        let proxy = self.settings.get(UPSTREAM_PROXY.name());
        let proxy = proxy.and_then(Node::flatten).unwrap_or_default();
        if !urls::has_password(&proxy) {
            return files::check_trusted(self.path.as_ref()).map(|()| false);
        }
        files::check_secret(self.path.as_ref()).map_err(|mistake| {
            let proxy = UPSTREAM_PROXY.name();
            format!("{mistake}; the secret is the password in {proxy}")
        })
    }
}

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

/// The tree of a file, or what is wrong with it and on which line.
fn parse(path: &str) -> Result<Table, (Option<usize>, String)> {
    let content = files::read(path.as_ref()).map_err(|mistake| (None, mistake))?;
    let lines = Lines::of_text(&content);
    let text = str::from_utf8(&content)
        .map_err(|error| (Some(lines.of(error.valid_up_to())), "expected UTF-8".into()))?;
    // A file that is being written may end anywhere, and lose a restriction that way.
    if !text.is_empty() && !text.ends_with('\n') {
        let what = "expected a newline at the end, without which the file may be incomplete";
        return Err((Some(lines.of(text.len())), what.into()));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    // What comes after the first error often follows from it.
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        // The message alone: the whole error quotes the line, and with it the value.
        let what = format!("expected TOML: {}", error.message().replace('\n', ", "));
        return Err((Some(lines.of(start(error))), what));
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

/// Feeds each part with its length, so that no two tables give the same bytes.
fn feed_table(digest: &mut Context, table: &Table) {
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
            feed_table(digest, table);
        }
    }
}

fn feed_text(digest: &mut Context, text: &str) {
    digest.update(&text.len().to_be_bytes());
    digest.update(text.as_bytes());
}
