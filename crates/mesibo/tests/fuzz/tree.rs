//! A second reader of replies, which builds a tree of the whole reply. It says in a few lines
//! what a reply means, and the client's reader has to agree with it.

use std::time::{Duration, SystemTime};

use mesibo::{
    operation::op,
    reply::{Group, Member, Members, NotDone, Sent, User, UserToken, Users},
};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// How many items of a list count.
const MAX_ITEMS: usize = 50;

/// The error of a reply to `asked` that is no success.
pub(crate) fn verdict(reply: &Map<String, Value>, asked: &str) -> Result<(), NotDone> {
    let answered = reply.get("op").and_then(Value::as_str);
    if answered.is_some_and(|op| op != asked && op::ALL.contains(&op)) {
        return Err(NotDone::Unreadable("the reply is of another operation"));
    }
    let error = reply.get("error").and_then(text);
    match (reply.get("result").and_then(result), error) {
        (Some(true), _) => Ok(()),
        (Some(false), error) => Err(NotDone::Refused(error)),
        (None, Some(error)) => Err(NotDone::Error(error)),
        (None, None) => Err(NotDone::Unreadable("the reply has no result")),
    }
}

pub(crate) fn user_token(reply: &Map<String, Value>) -> Result<UserToken, &'static str> {
    let user = get(reply, "user");
    Ok(UserToken {
        uid: id(&user["uid"]).ok_or("the reply lacks user.uid")?,
        token: secret(&user["token"]).ok_or("the reply lacks user.token")?,
    })
}

pub(crate) fn users(reply: &Map<String, Value>) -> Result<Users, &'static str> {
    let users = list(get(reply, "users")).ok_or("users is not a list")?;
    let users = users.into_iter().map(user).collect::<Option<_>>();
    users.map(Users).ok_or("a user is not an object")
}

pub(crate) fn group(reply: &Map<String, Value>) -> Result<Group, &'static str> {
    let gid = id(&get(reply, "group")["gid"]);
    Ok(Group {
        gid: gid.ok_or("the reply lacks group.gid")?,
    })
}

pub(crate) fn members(reply: &Map<String, Value>) -> Result<Members, &'static str> {
    let members = list(get(reply, "members")).ok_or("members is not a list")?;
    let members = members.into_iter().map(member).collect::<Option<_>>();
    members
        .map(Members)
        .ok_or("a member is neither an object nor an address")
}

pub(crate) fn sent(reply: &Map<String, Value>) -> Sent {
    let mid = id(get(reply, "mid"));
    Sent { mid }
}

fn get<'a>(reply: &'a Map<String, Value>, name: &str) -> &'a Value {
    reply.get(name).unwrap_or(&Value::Null)
}

fn user(user: &Value) -> Option<User> {
    user.is_object().then(|| User {
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
        name: text(&user["name"]),
    })
}

fn member(member: &Value) -> Option<Member> {
    if member.is_object() {
        return Some(Member {
            address: text(&member["address"]),
            uid: id(&member["uid"]),
            cansend: boolean(&member["cansend"]),
            canrecv: boolean(&member["canrecv"]),
        });
    }
    text(member).map(|address| Member {
        address: Some(address),
        ..Member::default()
    })
}

fn list(value: &Value) -> Option<Vec<&Value>> {
    let mut items: Vec<_> = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => {
            let mut items = map
                .iter()
                .map(|(index, item)| Some((index.parse::<u64>().ok()?, item)))
                .collect::<Option<Vec<_>>>()?;
            items.sort_by_key(|&(index, _)| index);
            items.into_iter().map(|(_, item)| item).collect()
        }
        _ => return None,
    };
    items.truncate(MAX_ITEMS);
    Some(items)
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

fn id(value: &Value) -> Option<u64> {
    number(value).filter(|&id| id != 0)
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(number) if number.as_u64() == Some(0) => Some(false),
        Value::Number(number) if number.as_u64() == Some(1) => Some(true),
        Value::String(text) => match &*text.trim().to_ascii_lowercase() {
            "0" | "false" => Some(false),
            "1" | "true" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

fn result(value: &Value) -> Option<bool> {
    boolean(value).or_else(|| match &*value.as_str()?.trim().to_ascii_lowercase() {
        "ok" => Some(true),
        "fail" => Some(false),
        _ => None,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn secret(value: &Value) -> Option<SecretString> {
    text(value).map(SecretString::from)
}

fn time(value: &Value) -> Option<SystemTime> {
    match (number(value), value) {
        (Some(0), _) => None,
        (Some(seconds), _) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        (None, Value::String(text)) => humantime::parse_rfc3339_weak(text.trim()).ok(),
        (None, _) => None,
    }
}
