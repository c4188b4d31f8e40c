//! Messages.

use serde::Serialize;
use serde_json::json;

use super::{Backend, DEFAULT_LIFETIME};
use crate::moment::Moment;
use crate::params::Params;
use crate::reply::{Code, Fields, Outcome};

#[derive(Debug, Serialize)]
pub(super) struct Message {
    mid: u64,
    from: String,
    #[serde(flatten)]
    receiver: Receiver,
    #[serde(rename = "type")]
    kind: Option<u64>,
    pub(super) expires: Moment,
    #[serde(rename = "msg")]
    text: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Receiver {
    Users { to: Vec<String> },
    Group { gid: u64 },
}

/// The operation on messages, named as it is on the wire.
impl Backend {
    pub(super) fn message(&mut self, params: &Params, now: Moment) -> Outcome {
        let from = params.text("from")?;
        let text = params.text("msg")?;
        let receiver = Receiver::read(params)?;
        let kind = params.optional_number("type")?;
        let lifetime = params.optional_seconds("expiry")?;

        let expires = self.expiry(now, lifetime.unwrap_or(DEFAULT_LIFETIME));
        let sender = self.users.find(from)?;
        if !sender.active {
            return Err(Code::UserDisabled);
        }
        match &receiver {
            Receiver::Users { to } => {
                self.users.find_all(to)?;
            }
            Receiver::Group { gid } => self.groups.get_mut(*gid)?.take_message(sender, now)?,
        }
        let mid = self.mids.take();
        let message = Message {
            mid,
            from: from.to_owned(),
            receiver,
            kind,
            expires,
            text: text.to_owned(),
        };
        self.messages.insert(mid, message);
        Ok(Fields::one("mid", json!(mid)))
    }
}

impl Receiver {
    fn read(params: &Params) -> Result<Self, Code> {
        match (params.optional_list("to")?, params.optional_number("gid")?) {
            (Some(to), None) => Ok(Self::Users {
                to: to.into_iter().map(str::to_owned).collect(),
            }),
            (None, Some(gid)) => Ok(Self::Group { gid }),
            (None, None) => Err(Code::MissingPara),
            (Some(_), Some(_)) => Err(Code::BadPara),
        }
    }
}
