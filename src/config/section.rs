//! One table of the settings file, in the reading: that of an app or of a caller.

use std::mem;

use toml::{Table, Value};

use super::{file::flatten, settings::Setting, values};

/// The table, what of it was not read yet, and the mistakes found.
pub(super) struct Section<'a> {
    /// Its name in the file, such as `callers.orders`.
    name: String,
    rest: Table,
    mistakes: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    /// The section of an app or a caller, whose name must be one.
    pub(super) fn new(
        kind: &str,
        name: &str,
        value: Value,
        mistakes: &'a mut Vec<String>,
    ) -> Option<Self> {
        let mut section = Self {
            name: format!("{kind}.{name}"),
            rest: Table::new(),
            mistakes,
        };
        if let Err(mistake) = values::name(name) {
            section.wrong(mistake);
        }
        if let Value::Table(table) = value {
            section.rest = table;
            return Some(section);
        }
        section.wrong("expected a table");
        None
    }

    /// Whether the table has a value that was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Puts the value of a setting, if the table has one, in the place of what holds
    /// otherwise.
    pub(super) fn set<T>(
        &mut self,
        value: &mut T,
        setting: &Setting,
        parse: fn(&str) -> Result<T, String>,
    ) {
        if let Some(own) = self.find(setting.name, parse) {
            *value = own;
        }
    }

    /// A value, read as that of a flag.
    pub(super) fn find<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.rest.remove(key)?;
        let parsed = match flatten(value) {
            Some(text) => parse(&text),
            None => Err("expected one value".into()),
        };
        self.check(key, parsed)
    }

    /// A list of texts. An empty one allows nothing, which is a mistake.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.rest.remove(key)?;
        let texts: Option<Vec<_>> = match &value {
            Value::Array(values) if !values.is_empty() => {
                values.iter().map(Value::as_str).collect()
            }
            _ => None,
        };
        let parsed = match texts {
            Some(texts) => texts.into_iter().map(parse).collect(),
            None => Err("expected a list of texts, such as [\"one\", \"another\"]".into()),
        };
        self.check(key, parsed)
    }

    /// A mistake about the table as a whole.
    pub(super) fn wrong(&mut self, mistake: impl AsRef<str>) {
        let mistake = format!("{}: {}", self.name, mistake.as_ref());
        self.mistakes.push(mistake);
    }

    /// What was not read is a mistake.
    pub(super) fn finish(mut self, known: &[&str]) {
        for (key, _) in mem::take(&mut self.rest) {
            self.wrong(format!("{key} is none of {}", known.join(", ")));
        }
    }

    fn check<T>(&mut self, key: &str, parsed: Result<T, String>) -> Option<T> {
        parsed
            .map_err(|mistake| {
                let mistake = format!("{}.{key}: {mistake}", self.name);
                self.mistakes.push(mistake);
            })
            .ok()
    }
}
