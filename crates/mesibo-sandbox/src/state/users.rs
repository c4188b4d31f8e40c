//! Users and their tokens.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::wildcard::matches;
use super::{Backend, DEFAULT_LIFETIME, rows};
use crate::moment::Moment;
use crate::params::Params;
use crate::reply::{Code, Fields, Outcome};

#[derive(Debug, Serialize)]
pub(super) struct User {
    pub(super) uid: u64,
    pub(super) address: String,
    /// Empty if there is none.
    name: String,
    pub(super) active: bool,
    #[serde(rename = "flag")]
    flags: u64,
    #[serde(rename = "groups")]
    max_groups: Option<u64>,
    /// One for each application at the most, the newest last.
    pub(super) tokens: Vec<UserToken>,
}

#[derive(Debug, Serialize)]
pub(super) struct UserToken {
    #[serde(rename = "appid")]
    app_id: String,
    token: String,
    pub(super) expires: Moment,
}

/// All users, by uid and by address.
#[derive(Default)]
pub(super) struct Users {
    by_uid: BTreeMap<u64, User>,
    uids: HashMap<String, u64>,
}

/// The operations on users, each named as it is on the wire.
impl Backend {
    pub(super) fn useradd(&mut self, params: &Params, now: Moment) -> Outcome {
        let address = params.text("addr")?;
        let app_id = params.text("appid")?;
        let lifetime = params.optional_minutes("expiry")?;
        let active = params.optional_bool("active")?;
        let max_groups = params.optional_number("groups")?;

        let token = self.new_token(app_id, lifetime, now);
        let user = match self.users.uids.get(address) {
            Some(&uid) => self.users.get_mut(uid)?,
            None => self.users.insert(self.uids.take(), address),
        };
        user.active = active.unwrap_or(user.active);
        user.max_groups = max_groups.or(user.max_groups);
        if let Some(name) = params.as_sent("name") {
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

        self.users.remove(uid)?;
        self.groups.remove_member_everywhere(uid);
        Ok(Fields::none())
    }

    pub(super) fn usertoken(&mut self, params: &Params, now: Moment) -> Outcome {
        let uid = params.number("uid")?;
        let delete = params.optional_bool("delete")?.unwrap_or(false);
        let app_id = params.optional_text("appid");

        if delete {
            self.users.get_mut(uid)?.revoke(app_id);
            return Ok(Fields::none());
        }
        let token = self.new_token(app_id.ok_or(Code::MissingPara)?, None, now);
        let user = self.users.get_mut(uid)?;
        let issued = json!({ "uid": uid.to_string(), "appid": token.app_id, "token": token.token });
        user.issue(token);
        Ok(Fields::one("user", issued))
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
        UserToken {
            app_id: app_id.to_owned(),
            token: self.mint.mint(),
            expires: self.expiry(now, lifetime.unwrap_or(DEFAULT_LIFETIME)),
        }
    }
}

impl User {
    /// Takes a new token, in place of an older one for the same application.
    fn issue(&mut self, token: UserToken) {
        self.tokens.retain(|older| older.app_id != token.app_id);
        self.tokens.push(token);
    }

    /// Deletes the token for an application, or all tokens if none is named.
    fn revoke(&mut self, app_id: Option<&str>) {
        self.tokens
            .retain(|token| app_id.is_some_and(|app_id| token.app_id != app_id));
    }

    /// The user as `usersget` lists it, with numbers now as text and now not, like
    /// the real ones.
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
    pub(super) fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_uid.values()
    }

    pub(super) fn find(&self, address: &str) -> Result<&User, Code> {
        let uid = self.uids.get(address).ok_or(Code::NoUser)?;
        self.by_uid.get(uid).ok_or(Code::NoUser)
    }

    /// The users of all the addresses, or none if one is unknown.
    pub(super) fn find_all(&self, addresses: &[impl AsRef<str>]) -> Result<Vec<&User>, Code> {
        addresses
            .iter()
            .map(|address| self.find(address.as_ref()))
            .collect()
    }

    pub(super) fn forget_expired(&mut self, now: Moment) {
        for user in self.by_uid.values_mut() {
            user.tokens.retain(|token| now < token.expires);
        }
    }

    fn get_mut(&mut self, uid: u64) -> Result<&mut User, Code> {
        self.by_uid.get_mut(&uid).ok_or(Code::NoUser)
    }

    fn insert(&mut self, uid: u64, address: &str) -> &mut User {
        self.uids.insert(address.to_owned(), uid);
        self.by_uid.entry(uid).or_insert(User {
            uid,
            address: address.to_owned(),
            name: String::new(),
            active: true,
            flags: 0,
            max_groups: None,
            tokens: Vec::new(),
        })
    }

    fn remove(&mut self, uid: u64) -> Result<(), Code> {
        let user = self.by_uid.remove(&uid).ok_or(Code::NoUser)?;
        self.uids.remove(&user.address);
        Ok(())
    }
}
