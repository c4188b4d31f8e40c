//! The backend itself: what it holds, and what an operation does to that.
//!
//! It does no I/O and reads no clock: the moment comes with each request, so that
//! tests pass a year without waiting for it.

mod groups;
mod messages;
#[cfg(test)]
mod tests;
mod token;
mod users;
mod wildcard;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use self::groups::Groups;
use self::messages::Message;
use self::token::TokenMint;
use self::users::Users;
use super::moment::Moment;
use super::params::Params;
use super::reply::{Code, Outcome, Reply};

/// How long tokens, groups and messages live if the request does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// The most rows that a list has, whatever count is asked for.
const MAX_ROWS: usize = 20;

/// The backend of one application.
///
/// Nothing that has expired is left in it while an operation runs.
pub(super) struct Backend {
    app_token: String,
    mint: TokenMint,
    uids: Counter,
    gids: Counter,
    mids: Counter,
    users: Users,
    groups: Groups,
    messages: BTreeMap<u64, Message>,
    /// Nothing expires before this moment, so that most requests need not look.
    next_expiry: Moment,
}

/// Gives each number once.
struct Counter(u64);

impl Counter {
    fn take(&mut self) -> u64 {
        let number = self.0;
        self.0 += 1;
        number
    }
}

impl Backend {
    pub(super) fn new(app_token: String) -> Self {
        Self {
            app_token,
            mint: TokenMint::default(),
            // Ids of the size that real replies have.
            uids: Counter(5302),
            gids: Counter(102_529),
            mids: Counter(1_387_628),
            users: Users::default(),
            groups: Groups::default(),
            messages: BTreeMap::new(),
            next_expiry: Moment::NEVER,
        }
    }

    /// Does what the parameters ask for.
    pub(super) fn answer(&mut self, params: &Params, now: Moment) -> Reply {
        self.forget_expired(now);
        let op = params.optional_text("op").unwrap_or_default();
        Reply::new(op, self.perform(params, now))
    }

    /// Everything that is held.
    pub(super) fn snapshot(&mut self, now: Moment) -> Value {
        self.forget_expired(now);
        json!({
            "users": self.users.iter().collect::<Vec<_>>(),
            "groups": self.groups.iter().collect::<Vec<_>>(),
            "messages": self.messages.values().collect::<Vec<_>>(),
        })
    }

    /// Forgets everything that is held. Ids keep counting.
    pub(super) fn clear(&mut self) {
        self.users = Users::default();
        self.groups = Groups::default();
        self.messages = BTreeMap::new();
        self.next_expiry = Moment::NEVER;
    }

    fn perform(&mut self, params: &Params, now: Moment) -> Outcome {
        let op = params.text("op")?;
        let token = params.text("token")?;
        if token != self.app_token {
            return Err(Code::AuthFail);
        }
        match op {
            "useradd" => self.useradd(params, now),
            "userset" => self.userset(params),
            "userdel" => self.userdel(params),
            "usertoken" => self.usertoken(params, now),
            "usersget" => self.usersget(params),
            "groupadd" => self.groupadd(params, now),
            "groupset" => self.groupset(params, now),
            "groupdel" => self.groupdel(params),
            "groupeditmembers" => self.groupeditmembers(params),
            "groupgetmembers" => self.groupgetmembers(params),
            "message" => self.message(params, now),
            _ => Err(Code::BadOp),
        }
    }

    /// When something ends whose life begins now. Every expiry is made here, and an
    /// extension only moves one further away, so `next_expiry` misses none.
    fn expiry(&mut self, now: Moment, lifetime: Duration) -> Moment {
        let expires = now.after(lifetime);
        self.next_expiry = self.next_expiry.min(expires);
        expires
    }

    fn forget_expired(&mut self, now: Moment) {
        if now < self.next_expiry {
            return;
        }
        self.users.forget_expired(now);
        self.groups.forget_expired(now);
        self.messages.retain(|_, message| now < message.expires);

        let tokens = self.users.iter().flat_map(|user| &user.tokens);
        let expiries = tokens
            .map(|token| token.expires)
            .chain(self.groups.iter().map(|group| group.expires))
            .chain(self.messages.values().map(|message| message.expires));
        self.next_expiry = expiries.min().unwrap_or(Moment::NEVER);
    }
}

/// How many rows a list may have.
fn rows(params: &Params) -> Result<usize, Code> {
    let count = params.optional_number("count")?;
    // A count that is too large for this machine's `usize` is above 20 as well.
    let count = count.and_then(|count| usize::try_from(count).ok());
    Ok(count.map_or(MAX_ROWS, |count| count.min(MAX_ROWS)))
}
