//! Why a call gave no reply, and what that says about its outcome.

use std::{error, fmt, iter, time::Duration};

use crate::wire::{Idempotency, Operation};

/// The error that caused a failure, if one did.
pub(crate) type Cause = Option<Box<dyn error::Error + Send + Sync>>;

/// A call that did not give what its operation promises.
///
/// Its `Display` is for logs; the chain of [`error::Error::source`] has the causes, which
/// [`chain`] joins. Neither ever holds a token or a URL.
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
    /// Mesibo refused the operation.
    Refused {
        /// Mesibo's error code, if it gave one: `[A-Za-z0-9_.-]{1,63}`, and no token.
        code: Option<String>,
        /// What Mesibo gave in the place of a code: the beginning of the text in `error`, or
        /// else of the reply, quoted, escaped and without tokens. For logs only.
        excerpt: Option<String>,
        /// How long Mesibo asks to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// The answer has an HTTP status other than success, and no reply.
    Http {
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// The answer is an HTTP redirect, which is not followed: it would carry the token
    /// along.
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// No connection could be made, so nothing was sent.
    Unreachable,
    /// Too many calls are in flight already, so nothing was sent.
    Overloaded {
        /// How long to wait before another call is worthwhile.
        retry_after: Duration,
    },
    /// The attempts of late got no answer, so nothing was sent.
    Down {
        /// How long to wait before another call is worthwhile.
        retry_after: Duration,
    },
    /// The connection was lost after the request, or a part of it, was sent.
    ConnectionLost,
    /// The deadline passed.
    OutOfTime {
        /// Whether the request of the last attempt, or a part of it, was sent by then.
        sent: bool,
    },
    /// The future of the call was dropped before the request was sent.
    Cancelled,
    /// The answer is no reply, is too large, or lacks what the operation promises.
    Malformed {
        /// What is wrong with the answer.
        problem: &'static str,
        /// The beginning of the answer, quoted, escaped and without tokens, or nothing if it
        /// is not HTTP. For logs only.
        excerpt: String,
    },
}

impl Error {
    /// The outcome of a call that gave what its operation promises.
    pub const NONE: &str = "ok";

    /// Every outcome of a call: [`Self::NONE`], and what [`Self::outcome`] may say.
    pub const OUTCOMES: [&str; 11] = [
        Self::NONE,
        "refused",
        "http_status",
        "redirect",
        "unreachable",
        "overloaded",
        "down",
        "connection_lost",
        "deadline_exceeded",
        Self::CANCELLED,
        "malformed_reply",
    ];

    /// The outcome of a call whose future was dropped.
    pub(crate) const CANCELLED: &str = "cancelled";

    pub(crate) fn new<R>(
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

    /// The error of an operation whose deadline passed.
    #[must_use]
    pub fn out_of_time<R>(operation: &Operation<R>, attempts: u32, sent: bool) -> Self {
        Self::new(operation, attempts, Failure::OutOfTime { sent }, None)
    }

    /// The name of the operation.
    #[must_use]
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// What a repeat of the operation does.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// How many attempts were made: 0 if even the first was held back.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What went wrong in the last attempt.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// A name for what went wrong, for metrics and logs: one of [`Self::OUTCOMES`].
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
            Failure::Cancelled => Self::CANCELLED,
            Failure::Malformed { .. } => "malformed_reply",
        }
    }

    /// Whether the operation may or may not have been carried out: its request may have
    /// reached Mesibo, and no answer says what became of it. Never true of an operation
    /// that changes nothing.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.idempotency != Idempotency::Safe
            && match self.failure {
                Failure::ConnectionLost
                | Failure::OutOfTime { sent: true }
                | Failure::Malformed { .. } => true,
                // A gateway that failed may have passed the request on; 503 says that it
                // was not taken up.
                Failure::Http { status, .. } => status >= 500 && status != 503,
                Failure::Refused { .. }
                | Failure::Redirect { .. }
                | Failure::Unreachable
                | Failure::Overloaded { .. }
                | Failure::Down { .. }
                | Failure::OutOfTime { sent: false }
                | Failure::Cancelled => false,
            }
    }
}

impl Failure {
    /// Whether an answer came, from Mesibo or a gateway.
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
            | Self::OutOfTime { .. }
            | Self::Cancelled => false,
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
            Self::Down { .. } => write!(f, "held back, because Mesibo does not answer"),
            Self::ConnectionLost => write!(f, "connection lost after sending"),
            Self::OutOfTime { sent: true } => write!(f, "out of time after sending"),
            Self::OutOfTime { sent: false } => write!(f, "out of time before sending"),
            Self::Cancelled => write!(f, "cancelled before sending"),
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
