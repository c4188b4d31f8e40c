//! How a command ends badly: an exit status, and what to say.

use std::{
    error::Error,
    fmt::{self, Display},
    io::{self, Write as _},
    process::ExitCode,
};

use mesibo::chain;

use crate::config::Mistakes;

/// The name that lines on standard error begin with.
const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// The exit status of a command that failed.
const FAILED: u8 = 1;

/// The exit status of a wrong command line or a wrong setting.
const WRONG_SETTING: u8 = 2;

/// Why a command ends badly.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    /// A wrong command line, with clap's suggestions and the usage.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        Self {
            status: WRONG_SETTING,
            text: text.trim_start_matches("error: ").trim_end().to_owned(),
        }
    }

    /// Wrong settings, a line each, with the name of the program in front.
    pub(super) fn settings(mistakes: &Mistakes) -> Self {
        let separator = format!("\n{PROGRAM}: ");
        Self::wrong(mistakes.iter().collect::<Vec<_>>().join(&separator))
    }

    /// A wrong setting or argument.
    pub(super) fn wrong(mistake: impl Display) -> Self {
        Self {
            status: WRONG_SETTING,
            text: mistake.to_string(),
        }
    }

    /// A failure that is no mistake in the settings.
    pub(super) fn new(what: impl Display) -> Self {
        Self {
            status: FAILED,
            text: what.to_string(),
        }
    }

    /// A failure with its cause.
    #[must_use]
    pub fn of(what: &str, error: &(dyn Error + 'static)) -> Self {
        Self::new(format_args!("{what}: {}", chain(error)))
    }

    /// Says it on standard error, and gives the exit status.
    #[must_use]
    pub fn report(self) -> ExitCode {
        // Where standard error is gone, the exit status still says it.
        let _ = writeln!(io::stderr(), "{self}");
        ExitCode::from(self.status)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PROGRAM}: {}", self.text)
    }
}
