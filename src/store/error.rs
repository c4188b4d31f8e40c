//! Why a store did not answer, or could not be opened.

use std::{fmt, time::Duration};

/// Why a claim has no answer. Nothing may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The database did not answer within the store's time limit, or refused. The log has
    /// the cause.
    Unavailable {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// Too many claims wait to be written.
    Overloaded {
        /// When it is worth another try.
        retry_after: Duration,
    },
}

impl Error {
    /// When the database did not answer.
    pub(super) const UNAVAILABLE: Self = Self::Unavailable {
        retry_after: Duration::from_secs(1),
    };

    /// When too much waits.
    pub(super) const OVERLOADED: Self = Self::Overloaded {
        retry_after: Duration::from_millis(500),
    };
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable { .. } => "the store did not answer",
            Self::Overloaded { .. } => "too many calls wait for the store",
        })
    }
}

impl std::error::Error for Error {}

/// Why a store could not be opened. The texts hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A newer program has migrated the schema.
    NewerSchema {
        /// The version that the database has.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database takes no writes.
    ReadOnly,
    /// The database, or the file system, denies what the store needs.
    Denied(String),
    /// The database did not answer in time.
    Unreachable(String),
    /// Something else is wrong with the database or the settings.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerSchema { found, known } => write!(
                f,
                "the store's schema has version {found}, and this program knows versions up to \
                 {known}: run the newer program, or restore a backup from before its migration"
            ),
            Self::ReadOnly => f.write_str(
                "the store's database is read-only: point to the primary, or make the file and \
                 its folder writable",
            ),
            Self::Denied(why) => write!(f, "the store's database denies access: {why}"),
            Self::Unreachable(why) => write!(f, "the store's database did not answer: {why}"),
            Self::Failed(why) => write!(f, "the store cannot be opened: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}
