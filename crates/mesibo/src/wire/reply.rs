//! Replies of Mesibo: the result, then what the operation promises.

use std::time::SystemTime;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    lenient::{boolean, id, list, number, text, time},
    op,
};

/// A reply whose result is a success.
#[derive(Default)]
pub struct Reply(Map<String, Value>);

/// Why a body is not a [`Reply`].
#[derive(Debug)]
pub enum NotDone {
    /// The result is a failure, with Mesibo's error code if it gave one.
    Refused(Option<String>),
    /// There is an error code, but no result.
    Error(String),
    /// The body cannot be read as a reply. The text says why.
    Unreadable(&'static str),
}

mod sealed {
    /// Keeps [`FromReply`](super::FromReply) to the types of this crate.
    pub trait Sealed {}
}

/// What an operation promises, read from its reply. The types of [`reply`](crate::reply)
/// implement it, and no others can.
pub trait FromReply: sealed::Sealed + Sized + Send + 'static {
    /// Reads the reply, or says what it lacks.
    ///
    /// # Errors
    ///
    /// If the reply lacks something that the operation promises.
    fn from_reply(reply: &Reply) -> Result<Self, &'static str>;

    /// The id of what the operation made, edited or sent, if the reply has one.
    fn id(&self) -> Option<u64> {
        None
    }
}

/// The reply of an operation that promises nothing but its success.
#[derive(Debug)]
pub struct Done;

/// The user for whom `useradd` or `usertoken` made a token.
#[derive(Debug)]
pub struct UserToken {
    /// Id of the user, not 0.
    pub uid: u64,
    /// The new access token.
    pub token: SecretString,
}

/// The users that `usersget` found.
#[derive(Debug)]
pub struct Users(pub Vec<User>);

/// A user in a list. Mesibo promises none of the fields, so one that is absent or
/// cannot be read is `None`.
#[derive(Debug, Default)]
pub struct User {
    /// Id of the user.
    pub uid: Option<u64>,
    /// Address of the user.
    pub address: Option<String>,
    /// Whether the user is enabled.
    pub active: Option<bool>,
    /// Flags of the user.
    pub flag: Option<u32>,
    /// Whether the user is connected.
    pub online: Option<bool>,
    /// When the user was last connected.
    pub last_online: Option<SystemTime>,
    /// Whether the user is pinned.
    pub pinned: Option<bool>,
    /// Application of the token.
    pub appid: Option<String>,
    /// Access token.
    pub token: Option<SecretString>,
    /// Network address of the user's last connection.
    pub ipaddr: Option<String>,
}

/// The group that `groupadd` created or `groupset` edited.
#[derive(Debug)]
pub struct Group {
    /// Id of the group, not 0.
    pub gid: u64,
}

/// The members that `groupgetmembers` found.
#[derive(Debug)]
pub struct Members(pub Vec<Member>);

/// A member in a list. Mesibo promises none of the fields, as with [`User`].
#[derive(Debug, Default)]
pub struct Member {
    /// Address of the member.
    pub address: Option<String>,
    /// Id of the member's user.
    pub uid: Option<u64>,
    /// Whether the member may send.
    pub cansend: Option<bool>,
    /// Whether the member receives.
    pub canrecv: Option<bool>,
}

/// The message that `message` sent.
#[derive(Debug)]
pub struct Sent {
    /// Id of the message, if the reply has one.
    pub mid: Option<u64>,
}

impl Reply {
    /// Reads the body of the reply to `asked`, the name of an operation: an object, or
    /// the bare text `OK` or `FAIL`.
    ///
    /// # Errors
    ///
    /// If the result is no success, or the body is no reply.
    pub fn read(body: &[u8], asked: &str) -> Result<Self, NotDone> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let body = body.trim_ascii();
        if body.eq_ignore_ascii_case(b"OK") {
            return Ok(Self::default());
        }
        if body.eq_ignore_ascii_case(b"FAIL") {
            return Err(NotDone::Refused(None));
        }
        let reply: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| NotDone::Unreadable("the reply is not a JSON object"))?;

        // Servers echo other names, too, but that of another operation means that the
        // replies on this connection are out of step.
        let answered = reply.get("op").and_then(Value::as_str);
        if answered.is_some_and(|op| op != asked && op::ALL.contains(&op)) {
            return Err(NotDone::Unreadable("the reply is of another operation"));
        }
        let code = reply.get("error").and_then(text);
        match (reply.get("result").and_then(verdict), code) {
            (Some(true), _) => Ok(Self(reply)),
            (Some(false), code) => Err(NotDone::Refused(code)),
            (None, Some(code)) => Err(NotDone::Error(code)),
            (None, None) => Err(NotDone::Unreadable("the reply has no result")),
        }
    }

    fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    fn list(&self, name: &str) -> Option<Vec<&Value>> {
        list(self.get(name))
    }
}

/// Reads `result` in each form that was seen.
fn verdict(value: &Value) -> Option<bool> {
    boolean(value).or_else(|| match value {
        Value::String(text) if text.trim().eq_ignore_ascii_case("OK") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("FAIL") => Some(false),
        _ => None,
    })
}

impl sealed::Sealed for Done {}

impl FromReply for Done {
    fn from_reply(_: &Reply) -> Result<Self, &'static str> {
        Ok(Self)
    }
}

impl sealed::Sealed for UserToken {}

impl FromReply for UserToken {
    fn from_reply(reply: &Reply) -> Result<Self, &'static str> {
        let user = reply.get("user");
        Ok(Self {
            uid: id(&user["uid"]).ok_or("the reply lacks user.uid")?,
            token: secret(&user["token"]).ok_or("the reply lacks user.token")?,
        })
    }

    fn id(&self) -> Option<u64> {
        Some(self.uid)
    }
}

impl sealed::Sealed for Users {}

impl FromReply for Users {
    fn from_reply(reply: &Reply) -> Result<Self, &'static str> {
        let users = reply.list("users").ok_or("users is not a list")?;
        let users = users.into_iter().map(User::read).collect::<Option<_>>();
        Ok(Self(users.ok_or("a user is not an object")?))
    }
}

impl User {
    fn read(user: &Value) -> Option<Self> {
        user.is_object().then(|| Self {
            uid: id(&user["uid"]),
            address: text(&user["address"]),
            active: boolean(&user["active"]),
            flag: number(&user["flag"]).and_then(|flag| flag.try_into().ok()),
            online: boolean(&user["online"]),
            last_online: time(&user["lastonline"]),
            pinned: boolean(&user["pinned"]),
            appid: text(&user["appid"]),
            token: secret(&user["token"]),
            ipaddr: text(&user["ipaddr"]),
        })
    }
}

impl sealed::Sealed for Group {}

impl FromReply for Group {
    fn from_reply(reply: &Reply) -> Result<Self, &'static str> {
        Ok(Self {
            gid: id(&reply.get("group")["gid"]).ok_or("the reply lacks group.gid")?,
        })
    }

    fn id(&self) -> Option<u64> {
        Some(self.gid)
    }
}

impl sealed::Sealed for Members {}

impl FromReply for Members {
    fn from_reply(reply: &Reply) -> Result<Self, &'static str> {
        let members = reply.list("members").ok_or("members is not a list")?;
        let members = members.into_iter().map(Member::read).collect::<Option<_>>();
        Ok(Self(
            members.ok_or("a member is neither an object nor an address")?,
        ))
    }
}

impl Member {
    /// Some servers give a bare address instead of an object.
    fn read(member: &Value) -> Option<Self> {
        if member.is_object() {
            return Some(Self {
                address: text(&member["address"]),
                uid: id(&member["uid"]),
                cansend: boolean(&member["cansend"]),
                canrecv: boolean(&member["canrecv"]),
            });
        }
        text(member).map(|address| Self {
            address: Some(address),
            ..Self::default()
        })
    }
}

impl sealed::Sealed for Sent {}

impl FromReply for Sent {
    fn from_reply(reply: &Reply) -> Result<Self, &'static str> {
        Ok(Self {
            mid: id(reply.get("mid")),
        })
    }

    fn id(&self) -> Option<u64> {
        self.mid
    }
}

fn secret(value: &Value) -> Option<SecretString> {
    text(value).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads bytes as the reply to everything.
    fn read(body: &[u8]) {
        let Ok(reply) = Reply::read(body, op::USER_ADD) else {
            return;
        };
        let _ = Done::from_reply(&reply);
        let _ = UserToken::from_reply(&reply);
        let _ = Users::from_reply(&reply);
        let _ = Group::from_reply(&reply);
        let _ = Members::from_reply(&reply);
        let _ = Sent::from_reply(&reply);
    }

    /// Any JSON, with the names that replies have.
    fn json() -> impl Strategy<Value = Value> {
        let names = "uid|gid|mid|token|address|users|members|user|group|active|lastonline|0|1";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9:. -]{0,20}|OK|FAIL|.*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((names, inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            read(&bytes);
        }

        #[test]
        fn no_json_makes_the_reader_panic(user in json(), users in json(), group in json(), mid in json()) {
            let reply = serde_json::json!({
                "result": true, "user": user, "users": users, "members": users,
                "group": group, "mid": mid,
            });
            read(reply.to_string().as_bytes());
        }

        #[test]
        fn ids_are_read_in_either_form(uid in 1..=u64::MAX, token in "[!-~]+") {
            for uid_text in [uid.to_string(), format!("\"{uid}\"")] {
                let token = Value::from(&*token);
                let body = format!(r#"{{"result": 1, "user": {{"uid": {uid_text}, "token": {token}}}}}"#);
                let reply = Reply::read(body.as_bytes(), op::USER_ADD).unwrap();
                prop_assert_eq!(UserToken::from_reply(&reply).unwrap().uid, uid);
            }
        }
    }
}
