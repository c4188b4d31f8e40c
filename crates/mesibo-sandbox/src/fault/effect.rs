//! The effects of faults on requests.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use humantime::format_duration;
use serde::{Deserialize, Serialize};

/// The effect of a fault: a delay, and a reaction after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The time before the request is carried out or answered.
    pub(crate) delay: Duration,
    pub(crate) reaction: Reaction,
}

/// The outcome that a fault gives a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The request is carried out and answered.
    None,
    /// The request is refused with an error code; an empty one is left out of the reply.
    Error(String),
    /// The response is an HTTP status without a reply.
    Status {
        status: u16,
        retry_after: Option<Duration>,
        location: Option<String>,
    },
    /// The connection is closed.
    Close(Close),
    /// The request is carried out, and the reply is malformed.
    Malformed(Malformed),
    /// The request is carried out, and the body of the reply takes this long to arrive.
    Slow(Duration),
}

/// The moment at which the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Close {
    /// The connection is closed before the request is carried out.
    Before,
    /// The connection is closed after the request was carried out, without an answer.
    After,
    /// The connection is closed in the middle of the answer.
    Midway,
}

/// The kinds of malformed replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Malformed {
    /// A page of HTML.
    Html,
    /// The first half of the reply, as if it were the whole.
    Truncated,
    /// Nothing.
    Empty,
    /// The reply with 2 MiB of white space behind it.
    TooLarge,
    /// A success without what the operation promises, such as the id.
    Incomplete,
}

impl Reaction {
    /// Whether the request is carried out.
    pub(crate) fn carries_out(&self) -> bool {
        match self {
            Self::None | Self::Malformed(_) | Self::Slow(_) => true,
            Self::Close(close) => *close != Close::Before,
            Self::Error(_) | Self::Status { .. } => false,
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.delay.is_zero() {
            write!(f, "delayed by {}", format_duration(self.delay))?;
            if self.reaction == Reaction::None {
                return Ok(());
            }
            f.write_str(", ")?;
        }
        self.reaction.fmt(f)
    }
}

impl Display for Reaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing"),
            Self::Error(code) if code.is_empty() => f.write_str("refused without a code"),
            Self::Error(code) => write!(f, "error {code}"),
            Self::Status {
                status,
                retry_after,
                ..
            } => {
                write!(f, "HTTP status {status}")?;
                match retry_after {
                    Some(wait) => write!(f, " with Retry-After: {}", seconds(*wait)),
                    None => Ok(()),
                }
            }
            Self::Close(Close::Before) => f.write_str("closed before it was carried out"),
            Self::Close(Close::After) => f.write_str("carried out, then closed"),
            Self::Close(Close::Midway) => f.write_str("carried out, closed midway in the reply"),
            Self::Malformed(kind) => f.write_str(match kind {
                Malformed::Html => "reply is a page of HTML",
                Malformed::Truncated => "reply is cut in half",
                Malformed::Empty => "reply is empty",
                Malformed::TooLarge => "reply is larger than 2 MiB",
                Malformed::Incomplete => "reply lacks what the operation promises",
            }),
            Self::Slow(time) => write!(f, "reply takes {}", format_duration(*time)),
        }
    }
}

/// Whole seconds, rounded up, as `Retry-After` has them.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
