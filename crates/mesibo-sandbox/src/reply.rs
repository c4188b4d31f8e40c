//! Replies: the envelope, and the codes of failures.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Why an operation failed; the module's documentation says what each one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Code {
    BadOp,
    AuthFail,
    MissingPara,
    BadPara,
    NoUser,
    NoGroup,
    NoMember,
    NotAllowed,
    UserDisabled,
    GroupDisabled,
}

/// What an operation comes to.
pub(super) type Outcome = Result<Fields, Code>;

/// What a reply to a success holds besides `op` and `result`.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

/// The reply to one request.
#[derive(Debug)]
pub(super) struct Reply {
    op: String,
    outcome: Outcome,
}

impl Fields {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn one(name: &str, value: Value) -> Self {
        Self(Map::from_iter([(name.to_owned(), value)]))
    }
}

impl Reply {
    /// `op` is what the request has, known or not.
    pub(super) fn new(op: &str, outcome: Outcome) -> Self {
        Self {
            op: op.to_owned(),
            outcome,
        }
    }

    /// The operation that was done, or why it was not. A failure leaves the name
    /// out: what a caller put there may be anything, a misplaced token too.
    pub(super) fn outcome(&self) -> Result<&str, Code> {
        match &self.outcome {
            Ok(_) => Ok(&self.op),
            Err(code) => Err(*code),
        }
    }
}

impl From<Reply> for Value {
    fn from(reply: Reply) -> Self {
        let (mut fields, result) = match reply.outcome {
            Ok(Fields(fields)) => (fields, true),
            Err(code) => (Map::from_iter([("error".to_owned(), json!(code))]), false),
        };
        fields.insert("op".to_owned(), reply.op.into());
        fields.insert("result".to_owned(), result.into());
        Self::Object(fields)
    }
}
