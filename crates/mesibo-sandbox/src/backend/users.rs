//! Users and their tokens.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wildcard::matches;
use super::{Backend, DEFAULT_LIFETIME, rows};
use crate::clock::Moment;
use crate::wire::{Code, Fields, Outcome, Params, Refusal};

/// The most tokens that a user keeps; a newer one takes the place of the oldest.
const MAX_TOKENS: usize = 100;

#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) uid: u64,
    pub(crate) address: String,
    /// Empty if there is none.
    pub(crate) name: String,
    pub(crate) active: bool,
    #[serde(rename = "flag")]
    pub(super) flags: u64,
    #[serde(rename = "groups")]
    pub(super) max_groups: Option<u64>,
    /// One for each application at the most, the newest last.
    pub(super) tokens: Vec<UserToken>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserToken {
    #[serde(rename = "appid")]
    pub(super) app_id: String,
    token: String,
    pub(super) expires: Moment,
}

/// The users of a world, by uid and by address.
#[derive(Default)]
pub(super) struct Users {
    by_uid: BTreeMap<u64, User>,
    uids: HashMap<String, u64>,
}

/// The operations on users, each named as it is on the wire.
impl Backend {
    pub(super) fn useradd(&mut self, params: &Params, now: Moment) -> Outcome {
        let address = params.name("addr")?;
        let app_id = params.name("appid")?;
        let name = params.optional_name("name")?;
        let lifetime = params.optional_minutes("expiry")?;
        let active = params.optional_bool("active")?;
        let max_groups = params.optional_number("groups")?;
        let flags = params.optional_number("flag")?;
        if address.contains(',') {
            return Err(Code::BadPara.of("addr"));
        }

        let known = self.users.uids.get(address).copied();
        if known.is_none() && self.users.len() >= self.limits.users {
            return Err(Code::TooManyUsers.into());
        }
        let token = self.new_token(app_id, lifetime, now);
        let user = match known {
            Some(uid) => self.users.get_mut(uid)?,
            None => self.users.insert(self.uids.take(), address),
        };
        user.flags = flags.unwrap_or(user.flags);
        user.active = active.unwrap_or(user.active);
        user.max_groups = max_groups.or(user.max_groups);
        if let Some(name) = name {
            name.clone_into(&mut user.name);
        }
        let issued = json!({ "uid": user.uid.to_string(), "token": token.token });
        user.issue(token);
        Ok(Fields::one("user", issued))
    }

    pub(super) fn userset(&mut self, params: &Params) -> Outcome {
        let uid = params.number("uid")?;
        let flags = params.optional_number("flag")?;
        let active = params.optional_bool("active")?;

        let user = self.users.get_mut(uid)?;
        user.flags = flags.unwrap_or(user.flags);
        user.active = active.unwrap_or(user.active);
        Ok(Fields::none())
    }

    pub(super) fn userdel(&mut self, params: &Params) -> Outcome {
        let uid = params.number("uid")?;

        self.delete_user(uid)?;
        Ok(Fields::none())
    }

    /// The vendor's older PHP: deletes a user by its address.
    pub(super) fn deluser(&mut self, params: &Params) -> Outcome {
        let uid = match params.optional_number("uid")? {
            Some(uid) => uid,
            None => self.users.find(params.text("addr")?, "addr")?.uid,
        };
        // The request names the application as well, which makes no difference.
        params.as_sent("appid");

        self.delete_user(uid)?;
        Ok(Fields::none())
    }

    pub(crate) fn delete_user(&mut self, uid: u64) -> Result<(), Refusal> {
        self.users.remove(uid)?;
        self.groups.remove_member_everywhere(uid);
        Ok(())
    }

    pub(super) fn usertoken(&mut self, params: &Params, now: Moment) -> Outcome {
        let uid = params.number("uid")?;
        let delete = params.optional_bool("delete")?.unwrap_or(false);
        let app_id = params.optional_name("appid")?;
        let app_id = app_id.filter(|app_id| !app_id.is_empty());

        if delete {
            self.users.get_mut(uid)?.revoke(app_id);
            return Ok(Fields::none());
        }
        let app_id = app_id.ok_or_else(|| Code::MissingPara.of("appid"))?;
        self.users.get_mut(uid)?;
        let token = self.new_token(app_id, None, now);
        let issued = json!({ "uid": uid.to_string(), "appid": token.app_id, "token": token.token });
        self.users.get_mut(uid)?.issue(token);
        Ok(Fields::one("user", issued))
    }

    /// The vendor's older PHP: deletes the tokens of a user. Its own sample names no
    /// user, because the application's token overwrites the user's in `token`.
    pub(super) fn deltoken(&mut self, params: &Params) -> Outcome {
        let uid = params.number("uid")?;
        let app_id = params.optional_text("appid");

        self.users.get_mut(uid)?.revoke(app_id);
        Ok(Fields::none())
    }

    pub(super) fn usersget(&self, params: &Params) -> Outcome {
        let pattern = params.optional_text("addr").unwrap_or("*");
        let rows = rows(params)?;

        let users = self.users.iter();
        let users = users.filter(|user| matches(pattern, &user.address));
        let users = users.take(rows).map(User::row).collect();
        Ok(Fields::one("users", users))
    }

    fn new_token(&mut self, app_id: &str, lifetime: Option<Duration>, now: Moment) -> UserToken {
        let expires = now.after(lifetime.unwrap_or(DEFAULT_LIFETIME));
        self.next_expiry = self.next_expiry.min(expires);
        UserToken {
            app_id: app_id.to_owned(),
            token: self.mint.mint(),
            expires,
        }
    }
}

impl User {
    pub(super) fn new(uid: u64, address: String) -> Self {
        Self {
            uid,
            address,
            name: String::new(),
            active: true,
            flags: 0,
            max_groups: None,
            tokens: Vec::new(),
        }
    }

    /// Takes a new token, in place of an older one for the same application.
    fn issue(&mut self, token: UserToken) {
        self.tokens.retain(|older| older.app_id != token.app_id);
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
    }

    /// Deletes the token for an application, or all tokens if none is named.
    fn revoke(&mut self, app_id: Option<&str>) {
        self.tokens
            .retain(|token| app_id.is_some_and(|app_id| token.app_id != app_id));
    }

    /// The user as `usersget` lists it. Some numbers are texts, as in real replies.
    fn row(&self) -> Value {
        let mut row = json!({
            "uid": self.uid.to_string(),
            "address": self.address,
            "active": u8::from(self.active),
            "flag": self.flags.to_string(),
            "online": 0,
            "lastonline": 0,
        });
        if !self.name.is_empty() {
            row["name"] = json!(self.name);
        }
        if let Some(newest) = self.tokens.last() {
            row["appid"] = json!(newest.app_id);
            row["token"] = json!(newest.token);
        }
        row
    }
}

impl Users {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &User> {
        self.by_uid.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(super) fn get(&self, uid: u64) -> Option<&User> {
        self.by_uid.get(&uid)
    }

    /// The user of an address, which the parameter names.
    pub(super) fn find(&self, address: &str, parameter: &'static str) -> Result<&User, Refusal> {
        let uid = self.uids.get(address);
        uid.and_then(|uid| self.by_uid.get(uid))
            .ok_or_else(|| Code::NoUser.of(parameter))
    }

    /// The users of all the addresses, or none if one is unknown.
    pub(super) fn find_all(
        &self,
        addresses: &[impl AsRef<str>],
        parameter: &'static str,
    ) -> Result<Vec<&User>, Refusal> {
        addresses
            .iter()
            .map(|address| self.find(address.as_ref(), parameter))
            .collect()
    }

    pub(super) fn forget_expired(&mut self, now: Moment) {
        for user in self.by_uid.values_mut() {
            user.tokens.retain(|token| now < token.expires);
        }
    }

    /// Puts a saved user in, whole; `false` if its uid or address is taken.
    pub(super) fn restore(&mut self, user: User) -> bool {
        let free = !self.by_uid.contains_key(&user.uid) && !self.uids.contains_key(&user.address);
        if free {
            self.uids.insert(user.address.clone(), user.uid);
            self.by_uid.insert(user.uid, user);
        }
        free
    }

    fn get_mut(&mut self, uid: u64) -> Result<&mut User, Refusal> {
        self.by_uid
            .get_mut(&uid)
            .ok_or_else(|| Code::NoUser.of("uid"))
    }

    fn insert(&mut self, uid: u64, address: &str) -> &mut User {
        self.uids.insert(address.to_owned(), uid);
        self.by_uid
            .entry(uid)
            .or_insert(User::new(uid, address.to_owned()))
    }

    fn remove(&mut self, uid: u64) -> Result<(), Refusal> {
        let user = self.by_uid.remove(&uid);
        let user = user.ok_or_else(|| Code::NoUser.of("uid"))?;
        self.uids.remove(&user.address);
        Ok(())
    }
}
