//! The saved state of a backend, as a snapshot or a file written by hand has it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::Permissions;
use super::users::UserToken;
use super::{Backend, Counter, DEFAULT_LIFETIME, Group, Message, Receiver, User};
use crate::clock::{Clock, Moment};
use crate::settings::Limits;

/// What a saved world holds. What is left out gets its default, and ids that are left
/// out are given out in order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Saved {
    pub(crate) clock: Clock,
    next: Option<Next>,
    users: Vec<SavedUser>,
    groups: Vec<SavedGroup>,
    messages: Vec<SavedMessage>,
}

/// The ids that are given out next.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    uid: Counter,
    gid: Counter,
    mid: Counter,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedUser {
    uid: Option<u64>,
    address: String,
    #[serde(default)]
    name: String,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    flag: u64,
    groups: Option<u64>,
    #[serde(default)]
    tokens: Vec<UserToken>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedGroup {
    gid: Option<u64>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    flag: u64,
    #[serde(default = "yes")]
    active: bool,
    expires: Option<Moment>,
    #[serde(default)]
    expiryext: u64,
    #[serde(default)]
    members: Vec<SavedMember>,
}

/// A member: its address, or its address and permissions.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SavedMember {
    Address(String),
    #[serde(rename_all = "lowercase")]
    Member {
        address: String,
        cs: Option<bool>,
        cr: Option<bool>,
        canpub: Option<bool>,
        cansub: Option<bool>,
        canlist: Option<bool>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMessage {
    mid: Option<u64>,
    from: String,
    to: Option<Vec<String>>,
    gid: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<u64>,
    sent: Option<Moment>,
    expires: Option<Moment>,
    msg: String,
}

fn yes() -> bool {
    true
}

impl Backend {
    /// Everything that it holds, as [`Backend::restore`] takes it.
    pub(crate) fn save(&self) -> Value {
        json!({
            "next": { "uid": self.uids, "gid": self.gids, "mid": self.mids },
            "users": self.users.iter().collect::<Vec<_>>(),
            "groups": self.groups.iter().collect::<Vec<_>>(),
            "messages": self.messages.iter().collect::<Vec<_>>(),
        })
    }

    /// A backend with what was saved.
    ///
    /// # Errors
    ///
    /// A text that says what does not fit: more than the limits allow, an id or an
    /// address that is there twice, a member without a user, a message with both or
    /// neither of `to` and `gid`.
    pub(crate) fn restore(saved: Saved, limits: Limits, now: Moment) -> Result<Self, String> {
        let mut backend = Self::new(limits);
        backend.count_on_behind(&saved)?;
        for user in saved.users {
            backend.restore_user(user)?;
        }
        for group in saved.groups {
            backend.restore_group(group, now)?;
        }
        for message in saved.messages {
            backend.restore_message(message, now)?;
        }
        let (messages, bytes) = (backend.limits.messages, backend.limits.message_bytes);
        backend.messages.keep(messages, bytes);
        backend.next_expiry = backend.first_expiry();
        Ok(backend)
    }

    /// Makes sure that ids that are given out for entries without one are none that
    /// others have.
    fn count_on_behind(&mut self, saved: &Saved) -> Result<(), String> {
        let next = saved.next.as_ref();
        let uids = saved.users.iter().filter_map(|user| user.uid);
        self.uids.skip_all(uids, next.map(|next| next.uid))?;
        let gids = saved.groups.iter().filter_map(|group| group.gid);
        self.gids.skip_all(gids, next.map(|next| next.gid))?;
        let mids = saved.messages.iter().filter_map(|message| message.mid);
        self.mids.skip_all(mids, next.map(|next| next.mid))
    }

    fn restore_user(&mut self, saved: SavedUser) -> Result<(), String> {
        if self.users.len() >= self.limits.users {
            return Err(format!("more than {} users", self.limits.users));
        }
        if saved.address.is_empty() || saved.address.contains(',') {
            let address = saved.address;
            return Err(format!(
                "a user's address {address:?}: it must not be empty, nor hold a comma"
            ));
        }
        let uid = saved.uid.unwrap_or_else(|| self.uids.take());
        let mut user = User::new(uid, saved.address);
        user.name = saved.name;
        user.active = saved.active;
        user.flags = saved.flag;
        user.max_groups = saved.groups;
        user.tokens = saved.tokens;
        let address = user.address.clone();
        if !self.users.restore(user) {
            return Err(format!(
                "the uid {uid} or the address {address:?} is there twice"
            ));
        }
        Ok(())
    }

    fn restore_group(&mut self, saved: SavedGroup, now: Moment) -> Result<(), String> {
        let gid = saved.gid.unwrap_or_else(|| self.gids.take());
        if gid == 0 || self.groups.get(gid).is_some() {
            return Err(format!("the gid {gid} is 0 or there twice"));
        }
        if self.groups.len() >= self.limits.groups {
            return Err(format!("more than {} groups", self.limits.groups));
        }
        let expires = saved.expires.unwrap_or(now.after(DEFAULT_LIFETIME));
        let mut group = Group::new(gid, expires);
        group.name = saved.name;
        group.flags = saved.flag;
        group.active = saved.active;
        group.extension = Duration::from_secs(saved.expiryext);
        let mut members = Vec::new();
        for member in saved.members {
            let (address, permissions) = member.read();
            let user = self.users.find(&address, "members");
            let user =
                user.map_err(|_| format!("group {gid}: no user has the address {address:?}"))?;
            members.push((user, permissions));
        }
        if !self
            .groups
            .restore(group, &members, self.limits.memberships)
        {
            let limit = self.limits.memberships;
            return Err(format!("more than {limit} members in all groups together"));
        }
        Ok(())
    }

    fn restore_message(&mut self, saved: SavedMessage, now: Moment) -> Result<(), String> {
        let mid = saved.mid.unwrap_or_else(|| self.mids.take());
        if self.messages.get(mid).is_some() {
            return Err(format!("the mid {mid} is there twice"));
        }
        let receiver = match (saved.to, saved.gid) {
            (Some(to), None) if !to.is_empty() => Receiver::Users { to },
            (None, Some(gid)) => Receiver::Group { gid },
            _ => return Err(format!("message {mid}: it needs either to or gid")),
        };
        self.messages.insert(Message {
            mid,
            from: saved.from,
            receiver,
            kind: saved.kind,
            sent: saved.sent.unwrap_or(now),
            expires: saved.expires.unwrap_or(now.after(DEFAULT_LIFETIME)),
            text: saved.msg,
        });
        Ok(())
    }
}

/// The largest id: the largest integer that JavaScript reads exactly.
const MAX_ID: u64 = (1 << 53) - 1;

impl Counter {
    /// Goes on behind all the ids, and from `next` on if that is further.
    fn skip_all(
        &mut self,
        ids: impl Iterator<Item = u64>,
        next: Option<Self>,
    ) -> Result<(), String> {
        let highest = ids.max().unwrap_or_default();
        let next = next.map_or(0, |next| next.0);
        if highest > MAX_ID || next > MAX_ID {
            let id = highest.max(next);
            return Err(format!("the id {id} is too large: at most {MAX_ID}"));
        }
        self.0 = self.0.max(highest + 1).max(next);
        Ok(())
    }
}

impl SavedMember {
    fn read(self) -> (String, Permissions) {
        match self {
            Self::Address(address) => (address, Permissions::default()),
            Self::Member {
                address,
                cs,
                cr,
                canpub,
                cansub,
                canlist,
            } => {
                let permissions = Permissions {
                    cs,
                    cr,
                    canpub,
                    cansub,
                    canlist,
                };
                (address, permissions)
            }
        }
    }
}
