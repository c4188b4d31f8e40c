//! The backend of one application: its state, and the operations on it.
//!
//! It does no I/O and reads no clock: the moment comes with each request, so that
//! tests pass a year without waiting for it.

mod groups;
mod messages;
mod saved;
#[cfg(test)]
mod tests;
mod token;
mod users;
mod wildcard;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::groups::Group;
pub(crate) use self::messages::{Message, Receiver};
pub(crate) use self::saved::Saved;
pub(crate) use self::token::TokenMint;
pub(crate) use self::users::User;
pub(crate) use self::wildcard::matches;
use self::{groups::Groups, messages::Messages, users::Users};
use crate::clock::Moment;
use crate::settings::Limits;
use crate::wire::{Code, Outcome, Params, Refusal};

/// The operations that [`Backend::perform`] knows.
pub(crate) const OPERATIONS: [&str; 14] = [
    "useradd",
    "userset",
    "userdel",
    "deluser",
    "usertoken",
    "deltoken",
    "usersget",
    "groupadd",
    "groupset",
    "groupdel",
    "groupeditmembers",
    "groupgetmembers",
    "getmembers",
    "message",
];

/// Lifetime of tokens, groups and messages unless the request sets one.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// Maximum number of rows in a list, whatever `count` the request has.
const MAX_ROWS: usize = 20;

/// The backend of one application.
///
/// Nothing that has expired is left in it while an operation runs.
pub(crate) struct Backend {
    limits: Limits,
    mint: TokenMint,
    uids: Counter,
    gids: Counter,
    mids: Counter,
    users: Users,
    groups: Groups,
    messages: Messages,
    /// Nothing expires before this moment, so that most requests need not look. An
    /// extension only moves an expiry further away.
    next_expiry: Moment,
}

/// Source of ids: holds the next one, and gives each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counter(u64);

impl Counter {
    // Ids of the size that real replies have.
    const UIDS: Self = Self(5302);
    const GIDS: Self = Self(102_529);
    const MIDS: Self = Self(1_387_628);

    fn take(&mut self) -> u64 {
        let number = self.0;
        self.0 += 1;
        number
    }
}

impl Backend {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            mint: TokenMint::default(),
            uids: Counter::UIDS,
            gids: Counter::GIDS,
            mids: Counter::MIDS,
            users: Users::default(),
            groups: Groups::default(),
            messages: Messages::default(),
            next_expiry: Moment::NEVER,
        }
    }

    /// Carries an operation out.
    pub(crate) fn perform(&mut self, op: &str, params: &Params, now: Moment) -> Outcome {
        self.forget_expired(now);
        match op {
            "useradd" => self.useradd(params, now),
            "userset" => self.userset(params),
            "userdel" => self.userdel(params),
            "deluser" => self.deluser(params),
            "usertoken" => self.usertoken(params, now),
            "deltoken" => self.deltoken(params),
            "usersget" => self.usersget(params),
            "groupadd" => self.groupadd(params, now),
            "groupset" => self.groupset(params, now),
            "groupdel" => self.groupdel(params),
            "groupeditmembers" => self.groupeditmembers(params),
            "groupgetmembers" | "getmembers" => self.groupgetmembers(params),
            "message" => self.message(params, now),
            _ => Err(Code::BadOp.of("op")),
        }
    }

    /// Deletes everything. Ids keep counting.
    pub(crate) fn clear(&mut self) {
        self.users = Users::default();
        self.groups = Groups::default();
        self.messages = Messages::default();
        self.next_expiry = Moment::NEVER;
    }

    pub(crate) fn users(&self) -> impl DoubleEndedIterator<Item = &User> {
        self.users.iter()
    }

    pub(crate) fn groups(&self) -> impl DoubleEndedIterator<Item = &Group> {
        self.groups.iter()
    }

    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter()
    }

    pub(crate) fn user(&self, uid: u64) -> Option<&User> {
        self.users.get(uid)
    }

    pub(crate) fn group(&self, gid: u64) -> Option<&Group> {
        self.groups.get(gid)
    }

    pub(crate) fn message_by_id(&self, mid: u64) -> Option<&Message> {
        self.messages.get(mid)
    }

    pub(crate) fn delete_group(&mut self, gid: u64) -> Result<(), Refusal> {
        let removed = self.groups.remove(gid);
        removed.map(drop).ok_or_else(|| Code::NoGroup.of("gid"))
    }

    pub(crate) fn delete_message(&mut self, mid: u64) -> bool {
        self.messages.remove(mid).is_some()
    }

    pub(crate) fn forget_expired(&mut self, now: Moment) {
        if now < self.next_expiry {
            return;
        }
        self.users.forget_expired(now);
        self.groups.forget_expired(now);
        self.messages.forget_expired(now);
        self.next_expiry = self.first_expiry();
    }

    fn first_expiry(&self) -> Moment {
        let tokens = self.users.iter().flat_map(|user| &user.tokens);
        let expiries = tokens
            .map(|token| token.expires)
            .chain(self.groups.iter().map(|group| group.expires))
            .chain(self.messages.iter().map(|message| message.expires));
        expiries.min().unwrap_or(Moment::NEVER)
    }
}

/// The number of rows that a list may have.
fn rows(params: &Params) -> Result<usize, Refusal> {
    let count = params.optional_number("count")?;
    // A count that is too large for this machine's `usize` is above 20 as well.
    let count = count.and_then(|count| usize::try_from(count).ok());
    Ok(count.map_or(MAX_ROWS, |count| count.min(MAX_ROWS)))
}
