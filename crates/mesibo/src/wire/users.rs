//! Operations on users: "User Management APIs" in the vendor's documentation.

use super::{
    form::Form,
    op,
    operation::{Idempotency, Operation},
    replies::{Done, UserToken, Users},
};

/// Parameters of `useradd`.
#[derive(Clone, Debug, Default)]
pub struct UserAdd<'a> {
    /// Address of the user, such as a phone number or an e-mail address.
    pub addr: &'a str,
    /// Application that the token is for: an Android app id, an iOS bundle id, or any
    /// other text that identifies it.
    pub appid: &'a str,
    /// How long the token is valid, in minutes. Mesibo's default is one year.
    pub expiry_minutes: Option<u64>,
    /// Whether the user is enabled. Mesibo's default is true.
    pub active: Option<bool>,
    /// Maximum number of groups.
    pub groups: Option<u32>,
    /// Display name.
    pub name: Option<&'a str>,
}

impl Operation<UserToken> {
    /// Adds a user, or makes a new token for the user with this address: "Add a User /
    /// Regenerate a User Access Token".
    #[must_use]
    pub fn user_add(user: &UserAdd) -> Self {
        let form = Form::new(op::USER_ADD)
            .with_target("addr", user.addr)
            .with_target("appid", user.appid)
            .with("expiry", user.expiry_minutes)
            .with("active", user.active)
            .with("groups", user.groups)
            .with("name", user.name);
        Self::new(Idempotency::NotIdempotent, form)
    }

    /// Makes a new token for a user and an application. The vendor's console does it so;
    /// the documentation does not have it.
    #[must_use]
    pub fn user_token(uid: u64, appid: &str) -> Self {
        let form = Form::new(op::USER_TOKEN)
            .with_target("uid", uid)
            .with_target("appid", appid);
        Self::new(Idempotency::NotIdempotent, form)
    }
}

impl Operation<Users> {
    /// Lists users: "Get Users". `addr` is an address, in which `*` stands for any text;
    /// `count` is the maximum number of users, of which Mesibo gives at most 20.
    #[must_use]
    pub fn users_get(addr: Option<&str>, count: Option<u32>) -> Self {
        let form = Form::new(op::USERS_GET)
            .with_target("addr", addr)
            .with("count", count);
        Self::new(Idempotency::Safe, form)
    }
}

impl Operation<Done> {
    /// Edits a user: "Edit a User".
    #[must_use]
    pub fn user_set(uid: u64, flag: Option<u32>, active: Option<bool>) -> Self {
        let form = Form::new(op::USER_SET)
            .with_target("uid", uid)
            .with("flag", flag)
            .with("active", active);
        Self::new(Idempotency::Idempotent, form)
    }

    /// Deletes a user: "Delete a User". The documentation prints the same request for
    /// "Delete a User Access Token".
    #[must_use]
    pub fn user_del(uid: u64) -> Self {
        let form = Form::new(op::USER_DEL).with_target("uid", uid);
        Self::new(Idempotency::Idempotent, form)
    }

    /// Deletes a user's token and leaves the user, as the vendor's console does.
    #[must_use]
    pub fn user_token_delete(uid: u64, appid: Option<&str>) -> Self {
        let form = Form::new(op::USER_TOKEN)
            .with_target("uid", uid)
            .with_target("appid", appid)
            .with("delete", true);
        Self::new(Idempotency::Idempotent, form)
    }
}
