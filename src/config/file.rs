//! The settings file: TOML, whose keys are the names of settings, with a table for each
//! app and for each caller.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt as _};

use toml::{Table, Value};

use super::{
    settings::{APP_TOKEN, CONFIG, FACADE, SANDBOX, SERVE, UPSTREAM_PROXY},
    values,
};

/// The table of the apps' tables.
pub(super) const APPS: &str = "apps";

/// The table of the callers' tables.
pub(super) const CALLERS: &str = "callers";

/// The permission of everyone to read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// Values by the names of their settings.
    pub(super) values: HashMap<String, String>,
    /// The apps, by name.
    pub(super) apps: Table,
    /// The callers, by name.
    pub(super) callers: Table,
}

/// Reads a file.
pub(super) fn read(path: &str) -> Result<File, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
    let mut table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        // The error's own text quotes the line, and with it the value.
        let before = &text[..error.span().map_or(0, |span| span.start)];
        format!(
            "expected TOML, but line {} is not",
            before.lines().count().max(1)
        )
    })?;
    let mut tables = |name| match table.remove(name) {
        None => Ok(Table::new()),
        Some(Value::Table(tables)) => Ok(tables),
        Some(_) => Err(format!(
            "the file has {name} as something other than tables"
        )),
    };
    let (apps, callers) = (tables(APPS)?, tables(CALLERS)?);
    let values = table
        .into_iter()
        .map(|(name, value)| {
            if !is_known(&name) {
                return Err(format!("the file has {name}, which is no setting"));
            }
            let value = flatten(value)
                .ok_or_else(|| format!("the file has {name} as something other than its value"))?;
            Ok((name, value))
        })
        .collect::<Result<_, _>>()?;
    let file = File {
        values,
        apps,
        callers,
    };
    file.keep_secrets(path)?;
    Ok(file)
}

impl File {
    /// Whether two files differ in nothing but their callers.
    pub(super) fn differs_in_callers_at_most(&self, other: &Self) -> bool {
        self.values == other.values && self.apps == other.apps
    }

    /// A file with a secret is not for everyone to read.
    fn keep_secrets(&self, path: &str) -> Result<(), String> {
        let proxy = self.values.get(UPSTREAM_PROXY.name);
        if !proxy.is_some_and(|proxy| values::has_password(proxy)) {
            return Ok(());
        }
        let metadata =
            fs::metadata(path).map_err(|error| format!("cannot read the file: {error}"))?;
        if metadata.permissions().mode() & READABLE_BY_ALL == 0 {
            return Ok(());
        }
        Err(format!(
            "the file can be read by everyone, and holds a secret, the password in {}; take \
             the permission away, with chmod o-r",
            UPSTREAM_PROXY.name
        ))
    }
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
pub(super) fn flatten(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect::<Option<Vec<_>>>()
            .map(|entries| entries.join(",")),
        Value::Array(_) | Value::Datetime(_) => None,
    }
}
