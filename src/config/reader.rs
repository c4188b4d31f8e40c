//! The reading of settings, one after the other.

use std::{fmt::Display, path::Path};

use super::{
    file::File,
    mistakes::{Given, Mistakes, Origin},
    settings::{self, About, Setting},
    values::files,
};

/// Looks settings up, and gathers the mistakes.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&'static About) -> Option<Given>,
    pub(super) file: File,
    pub(super) mistakes: Mistakes,
    /// What is allowed but dangerous, each a line for the log.
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader without a settings file.
    pub(super) fn new(lookup: &'a dyn Fn(&'static About) -> Option<Given>) -> Self {
        Self {
            lookup,
            file: File::default(),
            mistakes: Mistakes::default(),
            warnings: Vec::new(),
        }
    }

    /// A reader that has read the settings file, if the settings name one. The file may
    /// have the settings of `known`.
    pub(super) fn with_file(
        lookup: &'a dyn Fn(&'static About) -> Option<Given>,
        known: fn() -> Vec<&'static About>,
    ) -> Self {
        let mut reader = Self::new(lookup);
        if let Some(path) = reader.find(&settings::CONFIG) {
            let file = File::read(&path, &known(), &mut reader.mistakes);
            reader.file = file.unwrap_or_default();
        }
        if reader.file.is_exposed() {
            let path = reader.file.path().to_owned();
            reader.warn_of_readers(settings::CONFIG.name(), path.as_ref());
        }
        reader
    }

    /// The value of a setting that has a default.
    pub(super) fn get<T>(&mut self, setting: &'static Setting<T>) -> T {
        self.find(setting).unwrap_or_else(|| {
            let default = setting.about().default;
            default
                .and_then(|default| setting.parse(default).ok())
                .expect("get is for settings with a default, and defaults are valid")
        })
    }

    /// The value of a setting that may be left out.
    pub(super) fn find<T>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        let about = setting.about();
        let given = self.given(about)?;
        setting
            .parse(&given.value)
            .map_err(|mistake| {
                let shown = (!about.is_secret).then_some(given.value.as_str());
                let place = given.origin.place(about);
                self.mistakes.push_value(about.name, mistake, &place, shown);
            })
            .ok()
    }

    /// Where the value of a setting is from, if it has one.
    pub(super) fn origin<T>(&self, setting: &'static Setting<T>) -> Option<Origin> {
        self.given(setting.about()).map(|given| given.origin)
    }

    /// Adds a mistake about the value of a setting in its surroundings. `shown` is what may
    /// be shown of it.
    pub(super) fn wrong<T>(
        &mut self,
        setting: &'static Setting<T>,
        what: impl Display,
        shown: Option<&str>,
    ) {
        let origin = self.origin(setting);
        let place = origin.map_or_else(String::new, |origin| origin.place(setting.about()));
        self.mistakes
            .push_value(setting.name(), what, &place, shown);
    }

    /// Warns of a file with a secret that every user can read, if one is.
    pub(super) fn check_readers(&mut self, name: &str, path: &Path) {
        if files::check_secret(path) == Ok(true) {
            self.warn_of_readers(name, path);
        }
    }

    fn warn_of_readers(&mut self, name: &str, path: &Path) {
        self.warnings.push(format!(
            "{name}: {} holds a secret, and every user that sees the file can read it; take \
             the permission away where the file is mounted, with the mode 0440 for example",
            path.display()
        ));
    }

    fn given(&self, about: &'static About) -> Option<Given> {
        (self.lookup)(about).or_else(|| self.file.setting(about))
    }

    /// `config` if there are no mistakes.
    pub(super) fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        self.mistakes.or(config)
    }
}
