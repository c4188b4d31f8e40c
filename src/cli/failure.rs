//! How a command ends badly: an exit status, and what to say.

use std::{
    error::Error,
    fmt::{self, Display},
    process::ExitCode,
};

use mesibo::chain;
use tonic::Code;

use crate::{
    config::Mistakes,
    telemetry::{self, Format},
};

/// The exit status of a command that failed.
const FAILED: u8 = 1;

/// The exit status of a wrong command line or a wrong setting.
const WRONG_SETTING: u8 = 2;

/// The exit status of a call that failed, less the number of its gRPC code.
const CODES: u8 = 64;

/// Why a command ends badly.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    /// What is wrong: several mistakes in the settings, or one thing.
    texts: Vec<String>,
    /// The format of the log, if it was not started.
    format: Format,
}

impl Failure {
    /// A wrong command line, with clap's suggestions and the usage.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        Self::wrong(text.trim_start_matches("error: ").trim_end())
    }

    /// Wrong settings, a line each, in the format of the log.
    pub(super) fn settings(mistakes: &Mistakes, format: Format) -> Self {
        Self {
            status: WRONG_SETTING,
            texts: mistakes.iter().map(ToOwned::to_owned).collect(),
            format,
        }
    }

    /// A wrong setting or argument.
    pub(super) fn wrong(mistake: impl Display) -> Self {
        Self {
            status: WRONG_SETTING,
            texts: vec![mistake.to_string()],
            format: Format::Text,
        }
    }

    /// A failure that is no mistake in the settings.
    pub(super) fn new(what: impl Display) -> Self {
        Self {
            status: FAILED,
            ..Self::wrong(what)
        }
    }

    /// A failure that was told already.
    pub(super) fn told(status: u8) -> Self {
        Self {
            status,
            texts: Vec::new(),
            format: Format::Text,
        }
    }

    /// The failure of a call with a gRPC code, in several lines. The exit status is the one
    /// that grpcurl has, which leaves the low ones to what is wrong on this side.
    pub(super) fn of_call(code: Code, lines: &[String]) -> Self {
        Self {
            status: CODES + code as u8,
            ..Self::wrong(lines.join("\n"))
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
        telemetry::say_failure(self.format, &self.texts);
        ExitCode::from(self.status)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join("\n"))
    }
}
