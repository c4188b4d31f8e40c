//! What can be asked of Mesibo: one constructor an operation, and the form that
//! it becomes.
//!
//! Parameters bear the names and units of the wire, as in the vendor's
//! documentation. One that is `None` is not sent, so that Mesibo's default holds.

use std::marker::PhantomData;

use bytes::Bytes;

use super::{
    form::Form,
    reply::{Done, FromReply, Group, Members, Sent, UserToken, Users},
};

/// The names of the operations, as the parameter `op` has them.
pub mod op {
    /// Adds a user, or gives it a new token.
    pub const USER_ADD: &str = "useradd";
    /// Edits a user.
    pub const USER_SET: &str = "userset";
    /// Deletes a user.
    pub const USER_DEL: &str = "userdel";
    /// Makes or deletes a user's token.
    pub const USER_TOKEN: &str = "usertoken";
    /// Lists users.
    pub const USERS_GET: &str = "usersget";
    /// Creates a group.
    pub const GROUP_ADD: &str = "groupadd";
    /// Edits a group.
    pub const GROUP_SET: &str = "groupset";
    /// Deletes a group.
    pub const GROUP_DEL: &str = "groupdel";
    /// Adds members to a group, or removes them.
    pub const GROUP_EDIT_MEMBERS: &str = "groupeditmembers";
    /// Lists the members of a group.
    pub const GROUP_GET_MEMBERS: &str = "groupgetmembers";
    /// Sends a message.
    pub const MESSAGE: &str = "message";

    /// All of them.
    pub const ALL: [&str; 11] = [
        USER_ADD,
        USER_SET,
        USER_DEL,
        USER_TOKEN,
        USERS_GET,
        GROUP_ADD,
        GROUP_SET,
        GROUP_DEL,
        GROUP_EDIT_MEMBERS,
        GROUP_GET_MEMBERS,
        MESSAGE,
    ];
}

/// The parameters that say what an operation is about: ids and addresses.
const TARGETS: [&str; 7] = ["uid", "gid", "addr", "appid", "from", "to", "m"];

/// Longest of such parameters in the log, in bytes, with its name.
const MAX_TARGET: usize = 200;

/// What a repeat of an operation does, in the terms of RFC 9110, section 9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It changes nothing in the first place.
    Safe,
    /// It changes nothing more than the first time.
    Idempotent,
    /// It changes something again: a second message, group or token.
    NotIdempotent,
}

/// One operation, ready to be posted, whose reply is read as an `R`.
pub struct Operation<R> {
    name: &'static str,
    idempotency: Idempotency,
    /// The encoded form, but for the token.
    form: Bytes,
    reply: PhantomData<fn() -> R>,
}

/// Parameters of `useradd`.
#[derive(Default)]
pub struct UserAdd<'a> {
    /// Address of the user.
    pub addr: &'a str,
    /// Application that the token is for.
    pub appid: &'a str,
    /// How long the token is valid.
    pub expiry_minutes: Option<u64>,
    /// Whether the user is enabled.
    pub active: Option<bool>,
    /// Maximum number of groups.
    pub groups: Option<u32>,
    /// Display name.
    pub name: Option<&'a str>,
}

/// Options of a group, for `groupadd` and `groupset`.
#[derive(Default)]
pub struct GroupOptions<'a> {
    /// Name of the group.
    pub name: Option<&'a str>,
    /// Flags of the group.
    pub flag: Option<u32>,
    /// How long the group lives.
    pub expiry_seconds: Option<u64>,
    /// By how much activity extends the group's life.
    pub expiryext_seconds: Option<u64>,
    /// Whether the group is enabled.
    pub active: Option<bool>,
}

/// What members that are added to a group may do.
#[derive(Default)]
pub struct Permissions {
    /// Whether they may send.
    pub cs: Option<bool>,
    /// Whether they receive.
    pub cr: Option<bool>,
    /// Whether they may publish.
    pub canpub: Option<bool>,
    /// Whether they may subscribe.
    pub cansub: Option<bool>,
    /// Whether they may list the members.
    pub canlist: Option<bool>,
}

/// Who receives a message.
pub enum Recipient<'a> {
    /// The users with these addresses, separated by commas.
    To(&'a str),
    /// The members of the group with this id.
    Group(u64),
}

/// Parameters of `message`.
pub struct Message<'a> {
    /// Address of the sender.
    pub from: &'a str,
    /// Who receives it.
    pub recipient: Recipient<'a>,
    /// Type of the message.
    pub kind: Option<u32>,
    /// How long Mesibo keeps it for receivers who are not connected.
    pub expiry_seconds: Option<u64>,
    /// The message itself.
    pub msg: &'a str,
}

impl<R: FromReply> Operation<R> {
    pub(crate) fn new(name: &'static str, idempotency: Idempotency, form: String) -> Self {
        Self {
            name,
            idempotency,
            form: form.into(),
            reply: PhantomData,
        }
    }

    /// The name of the operation, one of [`op`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What a repeat of the operation does.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// The encoded form, but for the application's token.
    #[must_use]
    pub fn parameters(&self) -> &str {
        str::from_utf8(&self.form).expect("a form is ASCII")
    }

    /// The ids and addresses that the operation is about, for the log, as the form has
    /// them: `from=alice&to=bob`. Long lists are cut.
    #[must_use]
    pub fn target(&self) -> String {
        let is_target = |pair: &&str| {
            pair.split_once('=')
                .is_some_and(|(name, _)| TARGETS.contains(&name))
        };
        let pairs = self.parameters().split('&').filter(is_target);
        let cut = pairs.map(|pair| &pair[..pair.len().min(MAX_TARGET)]);
        cut.collect::<Vec<_>>().join("&")
    }

    /// The same, for a body.
    pub(crate) fn form(&self) -> Bytes {
        self.form.clone()
    }
}

impl Operation<UserToken> {
    /// "Add a User / Regenerate a User Access Token".
    #[must_use]
    pub fn user_add(user: &UserAdd) -> Self {
        Form::new(op::USER_ADD)
            .with("addr", user.addr)
            .with("appid", user.appid)
            .with("expiry", user.expiry_minutes)
            .with("active", user.active)
            .with("groups", user.groups)
            .with("name", user.name)
            .into_operation(Idempotency::NotIdempotent)
    }

    /// Makes a new token for a user and an app, as the vendor's console does.
    #[must_use]
    pub fn user_token(uid: u64, appid: &str) -> Self {
        Form::new(op::USER_TOKEN)
            .with("uid", uid)
            .with("appid", appid)
            .into_operation(Idempotency::NotIdempotent)
    }
}

impl Operation<Users> {
    /// "Get Users".
    #[must_use]
    pub fn users_get(addr: Option<&str>, count: Option<u32>) -> Self {
        Form::new(op::USERS_GET)
            .with("addr", addr)
            .with("count", count)
            .into_operation(Idempotency::Safe)
    }
}

impl Operation<Done> {
    /// "Edit a User".
    #[must_use]
    pub fn user_set(uid: u64, flag: Option<u32>, active: Option<bool>) -> Self {
        Form::new(op::USER_SET)
            .with("uid", uid)
            .with("flag", flag)
            .with("active", active)
            .into_operation(Idempotency::Idempotent)
    }

    /// "Delete a User", and, as printed, "Delete a User Access Token".
    #[must_use]
    pub fn user_del(uid: u64) -> Self {
        Form::new(op::USER_DEL)
            .with("uid", uid)
            .into_operation(Idempotency::Idempotent)
    }

    /// Deletes a user's token and leaves the user, as the vendor's console does.
    #[must_use]
    pub fn user_token_delete(uid: u64, appid: Option<&str>) -> Self {
        Form::new(op::USER_TOKEN)
            .with("uid", uid)
            .with("appid", appid)
            .with("delete", true)
            .into_operation(Idempotency::Idempotent)
    }

    /// "Delete a Group".
    #[must_use]
    pub fn group_del(gid: u64) -> Self {
        Form::new(op::GROUP_DEL)
            .with("gid", gid)
            .into_operation(Idempotency::Idempotent)
    }

    /// "Add or Remove Group Members", to add.
    #[must_use]
    pub fn group_add_members(gid: u64, members: &[String], permissions: &Permissions) -> Self {
        Form::new(op::GROUP_EDIT_MEMBERS)
            .with("gid", gid)
            .with("m", members)
            .with("delete", false)
            .with("cs", permissions.cs)
            .with("cr", permissions.cr)
            .with("canpub", permissions.canpub)
            .with("cansub", permissions.cansub)
            .with("canlist", permissions.canlist)
            .into_operation(Idempotency::Idempotent)
    }

    /// "Add or Remove Group Members", to remove.
    #[must_use]
    pub fn group_remove_members(gid: u64, members: &[String]) -> Self {
        Form::new(op::GROUP_EDIT_MEMBERS)
            .with("gid", gid)
            .with("m", members)
            .with("delete", true)
            .into_operation(Idempotency::Idempotent)
    }
}

impl Operation<Group> {
    /// "Create a Group". An empty `members` is not sent.
    #[must_use]
    pub fn group_add(options: &GroupOptions, members: &[String]) -> Self {
        Form::new(op::GROUP_ADD)
            .with_options(options)
            .with("m", (!members.is_empty()).then_some(members))
            .into_operation(Idempotency::NotIdempotent)
    }

    /// "Edit a Group".
    #[must_use]
    pub fn group_set(gid: u64, options: &GroupOptions) -> Self {
        Form::new(op::GROUP_SET)
            .with("gid", gid)
            .with_options(options)
            .into_operation(Idempotency::Idempotent)
    }
}

impl Operation<Members> {
    /// "Get Group Members".
    #[must_use]
    pub fn group_get_members(gid: u64, count: Option<u32>) -> Self {
        Form::new(op::GROUP_GET_MEMBERS)
            .with("gid", gid)
            .with("count", count)
            .into_operation(Idempotency::Safe)
    }
}

impl Operation<Sent> {
    /// "Message API".
    #[must_use]
    pub fn message(message: &Message) -> Self {
        let form = Form::new(op::MESSAGE).with("from", message.from);
        let form = match message.recipient {
            Recipient::To(addresses) => form.with("to", addresses),
            Recipient::Group(gid) => form.with("gid", gid),
        };
        form.with("type", message.kind)
            .with("expiry", message.expiry_seconds)
            .with("msg", message.msg)
            .into_operation(Idempotency::NotIdempotent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server reads of a form.
    fn decoded(form: &[u8]) -> Vec<(String, String)> {
        form_urlencoded::parse(form).into_owned().collect()
    }

    proptest! {
        #[test]
        fn what_goes_into_a_form_comes_out_of_it(
            from: String,
            to: String,
            msg: String,
            kind: Option<u32>,
            expiry_seconds: Option<u64>,
        ) {
            let operation = Operation::message(&Message {
                from: &from,
                recipient: Recipient::To(&to),
                kind,
                expiry_seconds,
                msg: &msg,
            });
            let form = operation.form();
            prop_assert!(form.is_ascii());

            let mut expected = vec![("op", "message".to_owned()), ("from", from), ("to", to)];
            expected.extend(kind.map(|kind| ("type", kind.to_string())));
            expected.extend(expiry_seconds.map(|expiry| ("expiry", expiry.to_string())));
            expected.push(("msg", msg));
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            prop_assert_eq!(decoded(&form), expected);
        }

        #[test]
        fn lists_and_booleans_have_the_forms_of_the_wire(
            gid: u64,
            members in prop::collection::vec("[^,]+", 1..5),
            cs: Option<bool>,
        ) {
            let permissions = Permissions { cs, ..Permissions::default() };
            let form = Operation::group_add_members(gid, &members, &permissions).form();
            let decoded = decoded(&form);
            let value = |name| decoded.iter().find(|(key, _)| key == name).map(|(_, v)| &**v);
            let gid = gid.to_string();
            prop_assert_eq!(value("gid"), Some(&*gid));
            prop_assert_eq!(value("delete"), Some("0"));
            prop_assert_eq!(value("cs"), cs.map(|cs| if cs { "1" } else { "0" }));
            let sent: Vec<_> = value("m").unwrap().split(',').collect();
            prop_assert_eq!(sent, members);
        }
    }
}
