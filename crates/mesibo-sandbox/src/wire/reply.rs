//! Replies: the envelope, and the codes of failures.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The error codes; `docs/sandbox.md` says what each one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Code {
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
    TooManyUsers,
    TooManyGroups,
    TooManyMembers,
    TooManyWorlds,
}

/// A failure, and the parameter that is the reason for it, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) parameter: Option<&'static str>,
}

/// The result of an operation.
pub(crate) type Outcome = Result<Fields, Refusal>;

/// The fields of a successful reply besides `op` and `result`.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

/// The reply to one request.
#[derive(Debug)]
pub(crate) struct Reply {
    op: String,
    /// The parameter `id` of the request, which is sent back.
    id: Option<String>,
    pub(crate) outcome: Outcome,
}

impl Code {
    /// The failure that a parameter is the reason for.
    pub(crate) fn of(self, parameter: &'static str) -> Refusal {
        Refusal {
            code: self,
            parameter: Some(parameter),
        }
    }

    /// The code as it goes over the wire.
    pub(crate) fn name(self) -> String {
        match json!(self) {
            Value::String(name) => name,
            other => other.to_string(),
        }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self {
            code,
            parameter: None,
        }
    }
}

impl Fields {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn one(name: &str, value: Value) -> Self {
        Self(Map::from_iter([(name.to_owned(), value)]))
    }
}

impl Reply {
    /// `op` is what the request has, known or not.
    pub(crate) fn new(op: &str, id: Option<&str>, outcome: Outcome) -> Self {
        Self {
            op: op.to_owned(),
            id: id.map(str::to_owned),
            outcome,
        }
    }

    /// The reply as text, with the error code that a fault rule names in the place of
    /// the outcome.
    pub(crate) fn with_error(op: &str, id: Option<&str>, code: &str) -> String {
        let mut reply = json!({ "op": op, "result": false });
        if let Some(id) = id {
            reply["id"] = json!(id);
        }
        if !code.is_empty() {
            reply["error"] = json!(code);
        }
        reply.to_string()
    }
}

impl From<&Reply> for Value {
    fn from(reply: &Reply) -> Self {
        let (mut fields, result) = match &reply.outcome {
            Ok(Fields(fields)) => (fields.clone(), true),
            Err(refusal) => {
                let error = ("error".to_owned(), json!(refusal.code));
                (Map::from_iter([error]), false)
            }
        };
        if let Some(id) = &reply.id {
            fields.insert("id".to_owned(), json!(id));
        }
        fields.insert("op".to_owned(), json!(reply.op));
        fields.insert("result".to_owned(), result.into());
        Self::Object(fields)
    }
}
