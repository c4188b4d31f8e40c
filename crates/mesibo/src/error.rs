//! What can go wrong between a call and its answer.

use std::{error, fmt, iter, time::Duration};

use crate::wire::{
    operation::{Idempotency, Operation},
    reply::FromReply,
};

/// The error beneath a failure, if there is one.
pub(crate) type Cause = Option<Box<dyn error::Error + Send + Sync>>;

/// A call that did not give what its operation promises.
///
/// Its `Display` is for logs; the chain of [`error::Error::source`] has the cause.
/// Neither ever holds a token or a URL.
#[derive(Debug)]
pub struct Error {
    op: &'static str,
    idempotency: Idempotency,
    attempts: u32,
    failure: Failure,
    source: Cause,
}

/// What went wrong, and with it how much is known about the outcome.
#[derive(Debug)]
pub enum Failure {
    /// Mesibo answered, and said no.
    Refused {
        /// Mesibo's error code, printable and without tokens, if it gave one.
        code: Option<String>,
        /// When it asks to be called again.
        retry_after: Option<Duration>,
    },
    /// An HTTP status other than success, and no reply to read.
    Http {
        /// The HTTP status.
        status: u16,
        /// When the server asks to be called again.
        retry_after: Option<Duration>,
    },
    /// An HTTP redirect, which is not followed: it would carry the token along.
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// No connection could be made, so nothing was sent.
    Unreachable,
    /// Too many calls are in flight already, so nothing was sent.
    Overloaded {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// The last attempts got no answer, so nothing was sent.
    Down {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// The connection was lost after the request, or some of it, was sent.
    ConnectionLost,
    /// The deadline passed.
    OutOfTime {
        /// Whether the request, or some of it, was sent by then.
        sent: bool,
    },
    /// The answer is no reply, is too large, or lacks what the operation promises.
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
        /// The beginning of it, printable and without tokens. For logs only.
        excerpt: String,
    },
}

impl Error {
    pub(crate) fn new<R: FromReply>(
        operation: &Operation<R>,
        attempts: u32,
        failure: Failure,
        source: Cause,
    ) -> Self {
        Self {
            op: operation.name(),
            idempotency: operation.idempotency(),
            attempts,
            failure,
            source,
        }
    }

    /// The deadline passed while the operation was under way.
    #[must_use]
    pub fn out_of_time<R: FromReply>(operation: &Operation<R>, attempts: u32, sent: bool) -> Self {
        Self::new(operation, attempts, Failure::OutOfTime { sent }, None)
    }

    /// The name of the operation that was called.
    #[must_use]
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// What a repeat of the operation does.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// How many attempts were made: 0 if something held back even the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What went wrong, in the last attempt.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The outcome of a call without an error.
    pub const NONE: &str = "ok";

    /// What may become of a call: nothing wrong, or what [`Self::outcome`] says.
    pub const OUTCOMES: [&str; 10] = [
        Self::NONE,
        "refused",
        "http_status",
        "redirect",
        "unreachable",
        "overloaded",
        "down",
        "connection_lost",
        "deadline_exceeded",
        "malformed_reply",
    ];

    /// A name for what went wrong, for metrics and logs.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self.failure {
            Failure::Refused { .. } => "refused",
            Failure::Http { .. } => "http_status",
            Failure::Redirect { .. } => "redirect",
            Failure::Unreachable => "unreachable",
            Failure::Overloaded { .. } => "overloaded",
            Failure::Down { .. } => "down",
            Failure::ConnectionLost => "connection_lost",
            Failure::OutOfTime { .. } => "deadline_exceeded",
            Failure::Malformed { .. } => "malformed_reply",
        }
    }

    /// Whether a change may or may not have happened: the request may have reached
    /// Mesibo, and no answer tells what became of it. Never true of an operation
    /// that changes nothing.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.idempotency != Idempotency::Safe
            && match self.failure {
                Failure::ConnectionLost
                | Failure::OutOfTime { sent: true }
                | Failure::Malformed { .. } => true,
                // A gateway that failed may have passed the request on; 503 says
                // that it was not taken up.
                Failure::Http { status, .. } => status >= 500 && status != 503,
                Failure::Refused { .. }
                | Failure::Redirect { .. }
                | Failure::Unreachable
                | Failure::Overloaded { .. }
                | Failure::Down { .. }
                | Failure::OutOfTime { sent: false } => false,
            }
    }
}

impl Failure {
    /// Whether Mesibo, or something in its place, answered.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Http { .. }
            | Self::Redirect { .. }
            | Self::Malformed { .. } => true,
            Self::Unreachable
            | Self::ConnectionLost
            | Self::Overloaded { .. }
            | Self::Down { .. }
            | Self::OutOfTime { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.failure)?;
        match self.attempts {
            0 | 1 => Ok(()),
            attempts => write!(f, ", in {attempts} attempts"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code: None, .. } => write!(f, "refused without an error code"),
            Self::Refused {
                code: Some(code), ..
            } => write!(f, "refused with {code}"),
            Self::Http { status, .. } => write!(f, "HTTP status {status} without a reply"),
            Self::Redirect { status } => write!(f, "redirected with HTTP status {status}"),
            Self::Unreachable => write!(f, "no connection"),
            Self::Overloaded { .. } => write!(f, "too many calls in flight"),
            Self::Down { .. } => write!(f, "held back, for Mesibo does not answer"),
            Self::ConnectionLost => write!(f, "connection lost after sending"),
            Self::OutOfTime { sent: true } => write!(f, "out of time after sending"),
            Self::OutOfTime { sent: false } => write!(f, "out of time before sending"),
            Self::Malformed { problem, .. } => write!(f, "{problem}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// An error and its causes, in one line.
#[must_use]
pub fn chain(error: &(dyn error::Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
