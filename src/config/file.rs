//! The settings file: TOML, whose keys are the names of settings, with a table for each
//! app and for each caller.

use std::path::Path;

use ring::digest::{Context, SHA256};

use super::{
    mistakes::{Given, Mistakes, Origin, nearest, suggestion},
    settings::{About, CONFIG, Places, UPSTREAM_PROXY},
    tree::{self, Node, Table, Value},
    values::{files, urls},
};

/// The SHA-256 of settings.
pub(super) type Fingerprint = [u8; 32];

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

impl File {
    /// Reads a file, and adds what is wrong with it. `known` are the settings that it may
    /// have. `None` is a file that cannot be read, or is no TOML.
    pub(super) fn read(path: &Path, known: &[&About], mistakes: &mut Mistakes) -> Option<Self> {
        let path = path.display().to_string();
        match crate::files::read(path.as_ref()) {
            Ok(content) => Self::parse(&content, &path, known, mistakes),
            Err(mistake) => {
                mistakes.push_value(CONFIG.name(), mistake, &path, None);
                None
            }
        }
    }

    /// Reads what a file holds, as [`Self::read`] does.
    pub(super) fn parse(
        content: &[u8],
        path: &str,
        known: &[&About],
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let root = tree::parse(content)
            .map_err(|(line, what)| {
                mistakes.push_value(CONFIG.name(), what, &format!("{path}:{line}"), None);
            })
            .ok()?;
        let mut file = Self {
            path: path.to_owned(),
            settings: root,
            ..Self::default()
        };
        file.apps = file.take_tables(APPS, mistakes);
        file.callers = file.take_tables(CALLERS, mistakes);
        file.check_names(known, mistakes);
        match file.check_mode() {
            Ok(is_exposed) => file.is_exposed = is_exposed,
            Err(mistake) => mistakes.push_value(CONFIG.name(), mistake, &file.path, None),
        }
        Some(file)
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
        let value = node.flatten()?;
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
            tree::feed(&mut digest, table);
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
            let is_list = node.flatten().is_none();
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
