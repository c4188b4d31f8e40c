//! Messages.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::{Backend, DEFAULT_LIFETIME};
use crate::clock::Moment;
use crate::wire::{Code, Fields, Outcome, Params, Refusal};

/// What a message takes besides its texts, in bytes; an estimate.
const OVERHEAD: usize = 200;

#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) mid: u64,
    pub(crate) from: String,
    #[serde(flatten)]
    pub(crate) receiver: Receiver,
    #[serde(rename = "type")]
    pub(crate) kind: Option<u64>,
    pub(crate) sent: Moment,
    pub(super) expires: Moment,
    #[serde(rename = "msg")]
    pub(crate) text: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Receiver {
    Users { to: Vec<String> },
    Group { gid: u64 },
}

/// The messages of a world, by mid.
#[derive(Default)]
pub(super) struct Messages {
    by_mid: BTreeMap<u64, Message>,
    bytes: usize,
}

/// The operation on messages, named as it is on the wire.
impl Backend {
    pub(super) fn message(&mut self, params: &Params, now: Moment) -> Outcome {
        let from = params.text("from")?;
        let text = params.text("msg")?;
        let receiver = Receiver::read(params)?;
        let kind = params.optional_number("type")?;
        let lifetime = params.optional_seconds("expiry")?;

        let sender = self.users.find(from, "from")?;
        if !sender.active {
            return Err(Code::UserDisabled.of("from"));
        }
        match &receiver {
            Receiver::Users { to } => {
                self.users.find_all(to, "to")?;
            }
            Receiver::Group { gid } => self.groups.get_mut(*gid)?.take_message(sender, now)?,
        }
        let expires = now.after(lifetime.unwrap_or(DEFAULT_LIFETIME));
        self.next_expiry = self.next_expiry.min(expires);
        let mid = self.mids.take();
        self.messages.insert(Message {
            mid,
            from: from.to_owned(),
            receiver,
            kind,
            sent: now,
            expires,
            text: text.to_owned(),
        });
        self.messages
            .keep(self.limits.messages, self.limits.message_bytes);
        Ok(Fields::one("mid", json!(mid)))
    }
}

impl Receiver {
    fn read(params: &Params) -> Result<Self, Refusal> {
        match (params.optional_list("to")?, params.optional_gid()?) {
            (Some(to), None) => Ok(Self::Users {
                to: to.into_iter().map(str::to_owned).collect(),
            }),
            (None, Some(gid)) => Ok(Self::Group { gid }),
            (None, None) => Err(Code::MissingPara.of("to")),
            (Some(_), Some(_)) => Err(Code::BadPara.of("gid")),
        }
    }
}

impl Message {
    fn size(&self) -> usize {
        let receivers = match &self.receiver {
            Receiver::Users { to } => to.iter().map(|to| to.len() + size_of::<String>()).sum(),
            Receiver::Group { .. } => 0,
        };
        OVERHEAD + self.from.len() + self.text.len() + receivers
    }
}

impl Messages {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.by_mid.values()
    }

    pub(super) fn get(&self, mid: u64) -> Option<&Message> {
        self.by_mid.get(&mid)
    }

    pub(super) fn insert(&mut self, message: Message) {
        self.bytes += message.size();
        if let Some(older) = self.by_mid.insert(message.mid, message) {
            self.bytes -= older.size();
        }
    }

    pub(super) fn remove(&mut self, mid: u64) -> Option<Message> {
        let message = self.by_mid.remove(&mid)?;
        self.bytes -= message.size();
        Some(message)
    }

    pub(super) fn forget_expired(&mut self, now: Moment) {
        let bytes = &mut self.bytes;
        self.by_mid.retain(|_, message| {
            let lives = now < message.expires;
            if !lives {
                *bytes -= message.size();
            }
            lives
        });
    }

    /// Drops the oldest messages until they fit.
    pub(super) fn keep(&mut self, count: usize, bytes: usize) {
        while self.by_mid.len() > count || self.bytes > bytes {
            let Some((_, oldest)) = self.by_mid.pop_first() else {
                return;
            };
            self.bytes -= oldest.size();
        }
    }
}
