//! The reading of settings, one after the other.

use std::path::PathBuf;

use super::{
    file::File,
    mistakes::{Given, Mistakes},
    settings::{self, About, Setting},
};

/// Looks settings up, and gathers the mistakes.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&'static About) -> Option<Given>,
    pub(super) file: File,
    pub(super) mistakes: Mistakes,
}

impl<'a> Reader<'a> {
    /// A reader without a settings file.
    pub(super) fn new(lookup: &'a dyn Fn(&'static About) -> Option<Given>) -> Self {
        Self {
            lookup,
            file: File::default(),
            mistakes: Mistakes::default(),
        }
    }

    /// A reader that has read the settings file, if the settings name one. The file may
    /// have the settings of `known`.
    pub(super) fn with_file(
        lookup: &'a dyn Fn(&'static About) -> Option<Given>,
        known: fn() -> Vec<&'static About>,
    ) -> Self {
        let mut reader = Self::new(lookup);
        let path: Option<PathBuf> = reader.find(&settings::CONFIG);
        match path.map(|path| File::read(&path, &known())).transpose() {
            Ok(file) => reader.file = file.unwrap_or_default(),
            Err(mistakes) => reader.mistakes.extend(mistakes),
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

    /// The place that the value of a setting is from; empty if it has none.
    pub(super) fn place<T>(&self, setting: &'static Setting<T>) -> String {
        let about = setting.about();
        self.given(about)
            .map_or_else(String::new, |given| given.origin.place(about))
    }

    fn given(&self, about: &'static About) -> Option<Given> {
        (self.lookup)(about).or_else(|| self.file.setting(about))
    }

    /// `config` if there are no mistakes.
    pub(super) fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        self.mistakes.or(config)
    }
}
