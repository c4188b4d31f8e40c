//! Filters of the collections.

use super::query::Query;
use super::{Answer, ApiError};
use crate::backend::{Group, Message, Receiver, User, matches};
use crate::clock::Moment;
use crate::requests::Record;

pub(super) struct UserFilter {
    address: Option<String>,
    active: Option<bool>,
    contains: Contains,
}

pub(super) struct GroupFilter {
    member: Option<String>,
    active: Option<bool>,
    contains: Contains,
}

pub(super) struct MessageFilter {
    address: Option<String>,
    from: Option<String>,
    to: Option<String>,
    gid: Option<u64>,
    kind: Option<u64>,
    since: Option<Moment>,
    contains: Contains,
}

pub(super) struct RequestFilter {
    op: Option<String>,
    address: Option<String>,
    outcome: Option<&'static str>,
    error: Option<String>,
    fault: Option<bool>,
    uid: Option<u64>,
    gid: Option<u64>,
    mid: Option<u64>,
    since: Option<Moment>,
    contains: Contains,
}

/// A text that must occur, whatever its case.
struct Contains(Option<String>);

/// Whether a pattern, if there is one, fits a text.
fn fits(pattern: Option<&String>, text: &str) -> bool {
    pattern.is_none_or(|pattern| matches(pattern, text))
}

fn same<T: PartialEq + Copy>(wanted: Option<T>, found: Option<T>) -> bool {
    wanted.is_none() || wanted == found
}

impl Contains {
    fn read(query: &mut Query) -> Self {
        Self(query.text("contains").map(|text| text.to_lowercase()))
    }

    fn in_any<'a>(&self, mut texts: impl Iterator<Item = &'a str>) -> bool {
        let Self(Some(wanted)) = self else {
            return true;
        };
        texts.any(|text| text.to_lowercase().contains(wanted))
    }
}

impl UserFilter {
    pub(super) fn read(query: &mut Query) -> Answer<Self> {
        Ok(Self {
            address: query.text("address"),
            active: query.bool("active")?,
            contains: Contains::read(query),
        })
    }

    pub(super) fn keeps(&self, user: &User) -> bool {
        let texts = [user.address.as_str(), user.name.as_str()];
        fits(self.address.as_ref(), &user.address)
            && same(self.active, Some(user.active))
            && self.contains.in_any(texts.into_iter())
    }
}

impl GroupFilter {
    pub(super) fn read(query: &mut Query) -> Answer<Self> {
        Ok(Self {
            member: query.text("member"),
            active: query.bool("active")?,
            contains: Contains::read(query),
        })
    }

    pub(super) fn keeps(&self, group: &Group) -> bool {
        let is_member = self.member.as_ref().is_none_or(|pattern| {
            let mut members = group.members();
            members.any(|member| matches(pattern, &member.address))
        });
        let gid = group.gid.to_string();
        is_member
            && same(self.active, Some(group.active))
            && self
                .contains
                .in_any([group.name.as_str(), &gid].into_iter())
    }
}

impl MessageFilter {
    pub(super) fn read(query: &mut Query) -> Answer<Self> {
        Ok(Self {
            address: query.text("address"),
            from: query.text("from"),
            to: query.text("to"),
            gid: query.number("gid")?,
            kind: query.number("type")?,
            since: query.time("since")?,
            contains: Contains::read(query),
        })
    }

    pub(super) fn keeps(&self, message: &Message) -> bool {
        let (receivers, gid): (&[String], _) = match &message.receiver {
            Receiver::Users { to } => (to, None),
            Receiver::Group { gid } => (&[], Some(*gid)),
        };
        let received = |pattern: &str| receivers.iter().any(|to| matches(pattern, to));
        let sent = |pattern: &str| matches(pattern, &message.from);
        let address = self.address.as_deref();
        address.is_none_or(|pattern| sent(pattern) || received(pattern))
            && self.from.as_deref().is_none_or(sent)
            && self.to.as_deref().is_none_or(received)
            && same(self.gid, gid)
            && same(self.kind, message.kind)
            && self.since.is_none_or(|since| message.sent >= since)
            && self.contains.in_any([message.text.as_str()].into_iter())
    }
}

impl RequestFilter {
    pub(super) fn read(query: &mut Query) -> Answer<Self> {
        let outcomes = ["done", "refused", "faulted", "abandoned", "rejected"];
        Ok(Self {
            op: query.text("op"),
            address: query.text("address"),
            outcome: query.choice("outcome", &outcomes)?,
            error: query.text("error"),
            fault: query.bool("fault")?,
            uid: query.number("uid")?,
            gid: query.number("gid")?,
            mid: query.number("mid")?,
            since: query.time("since")?,
            contains: Contains::read(query),
        })
    }

    pub(super) fn keeps(&self, record: &Record) -> bool {
        let error = record.error.as_deref().unwrap_or_default();
        let address = self.address.as_ref().is_none_or(|pattern| {
            record
                .addresses
                .iter()
                .any(|address| matches(pattern, address))
        });
        address
            && fits(self.op.as_ref(), &record.op)
            && self
                .outcome
                .is_none_or(|outcome| outcome == record.outcome.name())
            && fits(self.error.as_ref(), error)
            && same(self.fault, Some(record.fault.is_some()))
            && same(self.uid, record.ids.uid)
            && same(self.gid, record.ids.gid)
            && same(self.mid, record.ids.mid)
            && self.since.is_none_or(|since| record.time >= since)
            && self.contains.in_any(record.texts())
    }
}

/// The id in a path.
pub(super) fn id(text: &str) -> Answer<u64> {
    text.parse()
        .map_err(|_| ApiError::bad(format!("{text:?} is no id: it must be a whole number")))
}
