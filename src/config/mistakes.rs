//! Mistakes in settings, as people read them: the setting, what is allowed, the place that
//! the value is from, and the value unless it may be a secret.

use std::fmt::{self, Display};

use zeroize::Zeroizing;

use super::settings::About;

/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const LIKENESS: f64 = 0.85;

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// The mistakes in the settings of a command, all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

/// The value of a setting, and where it is from.
pub struct Given {
    pub(super) value: Zeroizing<String>,
    pub(super) origin: Origin,
}

/// The place that a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A program that embeds the facade.
    Program,
    /// A flag on the command line.
    Flag,
    /// An environment variable.
    Variable,
    /// A line of the settings file.
    Line {
        /// The path of the file.
        file: String,
        /// The number of the line, from 1 on.
        line: usize,
    },
}

impl Given {
    /// A value, and where it is from.
    #[must_use]
    pub fn new(value: String, origin: Origin) -> Self {
        Self {
            value: Zeroizing::new(value),
            origin,
        }
    }
}

impl From<String> for Given {
    fn from(value: String) -> Self {
        Self::new(value, Origin::Program)
    }
}

impl Mistakes {
    /// Adds a mistake about a setting as a whole, or about several.
    pub(crate) fn push(&mut self, name: impl Display, what: impl Display) {
        self.0.push(format!("{name}: {what}"));
    }

    /// Adds a mistake about a value. `shown` is what may be shown of it.
    pub(super) fn push_value(
        &mut self,
        name: impl Display,
        what: impl Display,
        place: &str,
        shown: Option<&str>,
    ) {
        let value = shown.map(quoted);
        let place = match (place, value) {
            ("", None) => String::new(),
            ("", Some(value)) => format!(" ({value})"),
            (place, None) => format!(" ({place})"),
            (place, Some(value)) => format!(" ({place}: {value})"),
        };
        self.push(name, format_args!("{what}{place}"));
    }

    /// Adds other mistakes.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The number of mistakes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// `config` if there are no mistakes.
    pub(crate) fn or<T>(self, config: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(config)
        } else {
            Err(self)
        }
    }

    /// The mistakes, each a line.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl Origin {
    /// The place of a setting's value; empty if only the program knows it.
    pub(super) fn place(&self, about: &About) -> String {
        match self {
            Self::Program => String::new(),
            Self::Flag => format!("--{}", about.name),
            Self::Variable => about.env(),
            Self::Line { file, line } => format!("{file}:{line}"),
        }
    }
}

/// The known name that is most like `name`, if one is like it.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter();
    // A single slip in a short name is more than a small part of it.
    let rated = known.map(|known| match strsim::osa_distance(name, known) {
        1 => (1.0, known),
        _ => (strsim::jaro_winkler(name, known), known),
    });
    let (likeness, known) = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness >= LIKENESS).then_some(known)
}

/// The end of a message that suggests a name; empty without one.
pub(crate) fn suggestion(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// A value in quotes, on one line, without the end of a long one.
fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_for_one_that_is_like_it_and_for_no_other() {
        let known = ["listen", "log", "lame-duck", "tls-key-file"];
        for (name, expected) in [
            ("listne", Some("listen")),
            ("tls-keyfile", Some("tls-key-file")),
            ("lameduck", Some("lame-duck")),
            ("lgo", Some("log")),
            ("port", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }

    #[test]
    fn a_shown_value_stays_on_one_line_and_is_short() {
        assert_eq!(quoted("a\n\u{202e}b"), r#""a\n\u{202e}b""#);
        assert_eq!(
            quoted(&"é".repeat(100)),
            format!("\"{}…\"", "é".repeat(SHOWN))
        );
    }
}
