//! One table of the settings file while it is read: that of an app or of a caller.

use super::{
    mistakes::{Mistakes, nearest, suggestion},
    settings::Setting,
    tree::{Node, Table, Value},
    values::callers,
};
use crate::call::Rate;

/// A table, the keys that were asked for, and the mistakes found.
pub(super) struct Section<'a> {
    /// The name in the file, such as `callers.orders`.
    name: String,
    /// The path of the file.
    file: &'a str,
    line: usize,
    table: &'a Table,
    asked: Vec<&'static str>,
    mistakes: &'a mut Mistakes,
}

/// Whether a message may show a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

impl<'a> Section<'a> {
    /// The table of an app or a caller, whose name must be a valid one.
    pub(super) fn new(
        kind: &str,
        name: &str,
        node: &'a Node,
        file: &'a str,
        mistakes: &'a mut Mistakes,
    ) -> Option<Self> {
        let empty = const { &Table::new() };
        let mut section = Self {
            name: format!("{kind}.{name}"),
            file,
            line: node.line,
            table: empty,
            asked: Vec::new(),
            mistakes,
        };
        if let Err(mistake) = callers::name(name) {
            section.wrong(mistake);
        }
        if let Value::Table(table) = &node.value {
            section.table = table;
            return Some(section);
        }
        section.wrong("expected a table");
        None
    }

    /// Whether the table has a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Replaces `value` by that of a setting, if the table has one.
    pub(super) fn set<T>(&mut self, value: &mut T, setting: &'static Setting<T>) {
        let shown = if setting.about().is_secret {
            Shown::No
        } else {
            Shown::Yes
        };
        if let Some(own) = self.read(setting.name(), shown, |text| setting.parse(text)) {
            *value = own;
        }
    }

    /// A value, parsed as that of a flag.
    pub(super) fn find<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, Shown::Yes, parse)
    }

    /// A value that may be a secret, by mistake.
    pub(super) fn find_secret<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, Shown::No, parse)
    }

    /// A list of texts. An empty list allows nothing, which is a mistake.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.read_list(key, Shown::Yes, parse)
    }

    /// A list of texts that may be secrets, by mistake.
    pub(super) fn list_of_secrets<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.read_list(key, Shown::No, parse)
    }

    /// The rate of an app or a caller, if it has one.
    pub(super) fn rate(&mut self) -> Option<Rate> {
        let burst = self.find("burst", callers::burst);
        let Some(per_second) = self.find("rate", callers::per_second) else {
            if burst.is_some() {
                self.wrong("expected a rate with the burst");
            }
            return None;
        };
        let burst = burst.unwrap_or_else(|| callers::burst_of_a_second(per_second));
        Rate::new(per_second, burst)
    }

    /// A mistake about the table as a whole.
    pub(super) fn wrong(&mut self, mistake: impl AsRef<str>) {
        let place = format!("{}:{}", self.file, self.line);
        self.mistakes
            .push_value(&self.name, mistake.as_ref(), &place, None);
    }

    /// Ends the reading: a key that was not asked for is a mistake.
    pub(super) fn finish(self) {
        for (key, node) in self.table {
            if self.asked.contains(&key.as_str()) {
                continue;
            }
            let what = format!(
                "no such key; expected one of {}{}",
                self.asked.join(", "),
                suggestion(nearest(key, self.asked.iter().copied()))
            );
            let place = format!("{}:{}", self.file, node.line);
            let name = format!("{}.{key}", self.name);
            self.mistakes.push_value(name, what, &place, None);
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        shown: Shown,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(key);
        let node = self.table.get(key)?;
        let text = node.flatten();
        let parsed = match &text {
            Some(text) => parse(text),
            None => Err("expected one value".into()),
        };
        parsed
            .map_err(|mistake| {
                self.wrong_value(
                    key,
                    mistake,
                    node,
                    text.as_ref().map(|it| it.as_str()),
                    shown,
                );
            })
            .ok()
    }

    fn read_list<T>(
        &mut self,
        key: &'static str,
        shown: Shown,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.asked.push(key);
        let node = self.table.get(key)?;
        let values = match &node.value {
            Value::List(values) if !values.is_empty() => values,
            _ => {
                let what = "expected a list of texts, such as [\"one\", \"another\"]";
                self.wrong_value(key, what.into(), node, None, shown);
                return None;
            }
        };
        let mut parsed = Vec::new();
        for value in values {
            let text = value.flatten().unwrap_or_default();
            match parse(&text) {
                Ok(value) => parsed.push(value),
                Err(mistake) => self.wrong_value(key, mistake, value, Some(&text), shown),
            }
        }
        (parsed.len() == values.len()).then_some(parsed)
    }

    fn wrong_value(
        &mut self,
        key: &str,
        what: String,
        node: &Node,
        value: Option<&str>,
        shown: Shown,
    ) {
        let place = format!("{}:{}", self.file, node.line);
        let value = value.filter(|_| shown == Shown::Yes);
        let name = format!("{}.{key}", self.name);
        self.mistakes.push_value(name, what, &place, value);
    }
}
