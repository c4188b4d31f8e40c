//! The body of a reply: the result, and with it what the operation promises.

use serde::de::MapAccess;

use super::{
    json::{Fields, Json, Scalar, skip},
    lenient::{result, text},
    op,
    promise::FromReply,
};

/// Why the body of a reply is not what its operation promises. Texts are as the reply has
/// them, tokens included.
#[derive(Debug)]
pub enum NotDone {
    /// The result is a failure. `error` has the text of that name, if there is one.
    Refused(Option<String>),
    /// There is a text in `error`, but no result.
    Error(String),
    /// The body cannot be read as a reply, or lacks what the operation promises. The text
    /// says why.
    Unreadable(&'static str),
}

/// The fields of a reply that count.
struct Envelope<R> {
    /// The operation that was carried out, if it is one of [`op::ALL`].
    op: Option<&'static str>,
    result: Option<bool>,
    error: Option<String>,
    promised: Result<R, &'static str>,
}

/// Reads the body of the reply to `asked`, the name of an operation: an object, or the bare
/// text `OK` or `FAIL`.
///
/// # Errors
///
/// If the result is no success, or the reply lacks what the operation promises.
pub fn read<R: FromReply>(body: &[u8], asked: &str) -> Result<R, NotDone> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = body.trim_ascii();
    if body.eq_ignore_ascii_case(b"OK") {
        return R::absent().map_err(NotDone::Unreadable);
    }
    if body.eq_ignore_ascii_case(b"FAIL") {
        return Err(NotDone::Refused(None));
    }
    let json = str::from_utf8(body).ok();
    let json: Option<Json<Envelope<R>>> = json.and_then(|json| serde_json::from_str(json).ok());
    let reply = json
        .and_then(Json::into_object)
        .ok_or(NotDone::Unreadable("the reply is not a JSON object"))?;

    // Servers echo other names, too, but that of another operation means that the replies on
    // this connection are out of step.
    if reply.op.is_some_and(|op| op != asked) {
        return Err(NotDone::Unreadable("the reply is of another operation"));
    }
    match (reply.result, reply.error) {
        (Some(true), _) => reply.promised.map_err(NotDone::Unreadable),
        (Some(false), error) => Err(NotDone::Refused(error)),
        (None, Some(error)) => Err(NotDone::Error(error)),
        (None, None) => Err(NotDone::Unreadable("the reply has no result")),
    }
}

impl<R: FromReply> Default for Envelope<R> {
    fn default() -> Self {
        Self {
            op: None,
            result: None,
            error: None,
            promised: R::absent(),
        }
    }
}

impl<R: FromReply> Fields for Envelope<R> {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, reply: &mut A) -> Result<(), A::Error> {
        match name {
            "op" => {
                self.op = match reply.next_value::<Scalar>()? {
                    Json::Text(name) => op::ALL.into_iter().find(|op| *op == name),
                    _ => None,
                };
            }
            "result" => self.result = result(&reply.next_value::<Scalar>()?),
            "error" => self.error = text(reply.next_value::<Scalar>()?),
            _ if R::FIELD == Some(name) => self.promised = R::read(reply)?,
            _ => skip(reply)?,
        }
        Ok(())
    }
}
