//! What the operations promise, one type for each kind of reply.

use std::time::SystemTime;

use secrecy::SecretString;
use serde::de::MapAccess;

use super::{
    json::{Fields, Item, Json, List, Scalar, skip},
    lenient::{boolean, id, number, text, time},
    promise::{FromReply, Promise},
};

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

/// The users that `usersget` found. Of more than 50 the first 50 are kept.
#[derive(Debug)]
pub struct Users(pub Vec<User>);

/// A user in a list. Mesibo promises none of the fields, so a field that is absent or cannot
/// be read is `None`.
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
    /// Display name.
    pub name: Option<String>,
}

/// The group that `groupadd` created or `groupset` edited.
#[derive(Debug)]
pub struct Group {
    /// Id of the group, not 0.
    pub gid: u64,
}

/// The members that `groupgetmembers` found. Of more than 50 the first 50 are kept.
#[derive(Debug)]
pub struct Members(pub Vec<Member>);

/// A member in a list. Mesibo promises none of the fields, so a field that is absent or cannot
/// be read is `None`.
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

/// The fields of `user` in the reply to `useradd` or `usertoken`.
#[derive(Default)]
struct TokenFields {
    uid: Option<u64>,
    token: Option<SecretString>,
}

/// The fields of `group` in the reply to `groupadd` or `groupset`.
#[derive(Default)]
struct GroupFields {
    gid: Option<u64>,
}

impl FromReply for Done {}

impl Promise for Done {
    const FIELD: Option<&str> = None;

    fn absent() -> Result<Self, &'static str> {
        Ok(Self)
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        skip(reply)?;
        Ok(Self::absent())
    }
}

impl FromReply for UserToken {
    fn id(&self) -> Option<u64> {
        Some(self.uid)
    }
}

impl Promise for UserToken {
    const FIELD: Option<&str> = Some("user");

    fn absent() -> Result<Self, &'static str> {
        Self::new(TokenFields::default())
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        let user: Json<TokenFields> = reply.next_value()?;
        Ok(Self::new(user.into_object().unwrap_or_default()))
    }
}

impl UserToken {
    fn new(user: TokenFields) -> Result<Self, &'static str> {
        Ok(Self {
            uid: user.uid.ok_or("the reply lacks user.uid")?,
            token: user.token.ok_or("the reply lacks user.token")?,
        })
    }
}

impl Fields for TokenFields {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, user: &mut A) -> Result<(), A::Error> {
        match name {
            "uid" => self.uid = id(&user.next_value::<Scalar>()?),
            "token" => self.token = secret(user.next_value::<Scalar>()?),
            _ => skip(user)?,
        }
        Ok(())
    }
}

impl FromReply for Users {}

impl Promise for Users {
    const FIELD: Option<&str> = Some("users");

    fn absent() -> Result<Self, &'static str> {
        Ok(Self(Vec::new()))
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        Ok(match reply.next_value()? {
            List::Items(users) => Ok(Self(users)),
            List::Mixed => Err("a user is not an object"),
            List::Other => Err("users is not a list"),
        })
    }
}

impl Item for User {
    fn from_json(json: Json<Self>) -> Option<Self> {
        json.into_object()
    }
}

impl Fields for User {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, user: &mut A) -> Result<(), A::Error> {
        let mut value = || user.next_value::<Scalar>();
        match name {
            "uid" => self.uid = id(&value()?),
            "address" => self.address = text(value()?),
            "active" => self.active = boolean(&value()?),
            "flag" => self.flag = number(&value()?).and_then(|flag| flag.try_into().ok()),
            "online" => self.online = boolean(&value()?),
            "lastonline" => self.last_online = time(&value()?),
            "pinned" => self.pinned = boolean(&value()?),
            "appid" => self.appid = text(value()?),
            "token" => self.token = secret(value()?),
            "ipaddr" => self.ipaddr = text(value()?),
            "name" => self.name = text(value()?),
            _ => skip(user)?,
        }
        Ok(())
    }
}

impl FromReply for Group {
    fn id(&self) -> Option<u64> {
        Some(self.gid)
    }
}

impl Promise for Group {
    const FIELD: Option<&str> = Some("group");

    fn absent() -> Result<Self, &'static str> {
        Err("the reply lacks group.gid")
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        let group: Json<GroupFields> = reply.next_value()?;
        let gid = group.into_object().and_then(|group| group.gid);
        Ok(gid.map_or_else(Self::absent, |gid| Ok(Self { gid })))
    }
}

impl Fields for GroupFields {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, group: &mut A) -> Result<(), A::Error> {
        match name {
            "gid" => self.gid = id(&group.next_value::<Scalar>()?),
            _ => skip(group)?,
        }
        Ok(())
    }
}

impl FromReply for Members {}

impl Promise for Members {
    const FIELD: Option<&str> = Some("members");

    fn absent() -> Result<Self, &'static str> {
        Ok(Self(Vec::new()))
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        Ok(match reply.next_value()? {
            List::Items(members) => Ok(Self(members)),
            List::Mixed => Err("a member is neither an object nor an address"),
            List::Other => Err("members is not a list"),
        })
    }
}

impl Item for Member {
    /// Some servers give a bare address instead of an object.
    fn from_json(json: Json<Self>) -> Option<Self> {
        match json {
            Json::Object(member) => Some(member),
            other => text(other).map(|address| Self {
                address: Some(address),
                ..Self::default()
            }),
        }
    }
}

impl Fields for Member {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, member: &mut A) -> Result<(), A::Error> {
        let mut value = || member.next_value::<Scalar>();
        match name {
            "address" => self.address = text(value()?),
            "uid" => self.uid = id(&value()?),
            "cansend" => self.cansend = boolean(&value()?),
            "canrecv" => self.canrecv = boolean(&value()?),
            _ => skip(member)?,
        }
        Ok(())
    }
}

impl FromReply for Sent {
    fn id(&self) -> Option<u64> {
        self.mid
    }
}

impl Promise for Sent {
    const FIELD: Option<&str> = Some("mid");

    fn absent() -> Result<Self, &'static str> {
        Ok(Self { mid: None })
    }

    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error> {
        let mid = id(&reply.next_value::<Scalar>()?);
        Ok(Ok(Self { mid }))
    }
}

fn secret<T>(value: Json<T>) -> Option<SecretString> {
    text(value).map(SecretString::from)
}
