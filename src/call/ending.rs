//! What became of an operation, whichever backend carried it out.

/// Whether an operation was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The operation was carried out.
    Done,
    /// The operation was surely not carried out.
    NotDone,
    /// The operation may have been carried out: no answer tells.
    Unknown,
}

/// The end of an operation, for the audit, the metrics and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whether the operation was carried out.
    pub outcome: Outcome,
    /// A name for what went wrong, from a fixed set.
    pub failure: Option<&'static str>,
    /// The error code of the backend.
    pub code: Option<String>,
    /// The id of what was made, or of the message.
    pub id: Option<u64>,
}

impl Outcome {
    /// The name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not_done",
            Self::Unknown => "unknown",
        }
    }
}

impl Ending {
    /// The failure of an operation that was not sent, for the audit had no place for it.
    pub const UNAUDITED: &str = "audit_unavailable";

    /// The end of an operation that nobody waits for any longer, so that its outcome stays
    /// unknown.
    #[must_use]
    pub fn abandoned() -> Self {
        Self {
            outcome: Outcome::Unknown,
            failure: Some("abandoned"),
            code: None,
            id: None,
        }
    }
}
