//! Replies: no bytes make the reader panic, and all JSON means what a tree of it means.

use std::fmt::Debug;

use mesibo::{
    operation::op,
    reply::{self, Done, FromReply, Group, Members, NotDone, Sent, UserToken, Users},
};
use proptest::{prelude::*, sample::Index};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use crate::{fuzz, tree};

/// The operation that was asked for.
const ASKED: &str = op::USER_ADD;

/// Any scalar, with a taste for those that mean something.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..3_u8).prop_map(Value::from),
        "[0-9:. -]{0,20}|[01]|OK|fail|True|FALSE|EXISTS|.*".prop_map(Value::from),
        prop::sample::select(&op::ALL[..]).prop_map(Value::from),
    ]
}

/// Any JSON, with the names that fields have.
fn json() -> impl Strategy<Value = Value> {
    let names =
        "uid|gid|token|address|active|flag|lastonline|appid|cansend|[0-9]|[1-9][0-9]|.{0,3}";
    scalar().prop_recursive(4, 256, 60, move |inner| {
        let fields = prop::collection::vec((names, inner.clone()), 0..8);
        let indices = prop::collection::vec((0..200_u64, inner.clone()), 0..60);
        prop_oneof![
            prop::collection::vec(inner, 0..60).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            indices.prop_map(|items| {
                let items = items
                    .into_iter()
                    .map(|(index, item)| (index.to_string(), item));
                Value::Object(items.collect())
            }),
        ]
    })
}

/// An object with the fields that replies have.
fn object() -> impl Strategy<Value = Map<String, Value>> {
    let names = "user|users|group|members|mid|op|error|more";
    let result = prop_oneof![3 => Just(Value::from(true)), 1 => scalar()];
    let fields = prop::collection::vec((names, json()), 0..6);
    (result, fields).prop_map(|(result, fields)| {
        let result = ("result".to_owned(), result);
        fields.into_iter().chain([result]).collect()
    })
}

/// Checks that the client's reader and the tree's make the same of a reply.
fn agree<R: FromReply + Debug>(
    (object, body): (&Map<String, Value>, &str),
    promised: fn(&Map<String, Value>) -> Result<R, &'static str>,
    tokens: fn(&R) -> Vec<Option<&SecretString>>,
) -> Result<(), TestCaseError> {
    // Secrets compare by what they hold, which their `Debug` does not show.
    let shown = |read: Result<R, NotDone>| {
        let tokens = read.as_ref().map(tokens).unwrap_or_default().into_iter();
        let tokens: Vec<_> = tokens
            .map(|token| token.map(SecretString::expose_secret))
            .collect();
        format!("{tokens:?} {read:?}")
    };
    let expected = tree::verdict(object, ASKED);
    let expected = expected.and_then(|()| promised(object).map_err(NotDone::Unreadable));
    let read = reply::read(body.as_bytes(), ASKED);
    prop_assert_eq!(shown(read), shown(expected), "{}", body);
    Ok(())
}

/// Checks that all readers agree on a reply.
fn agree_all(object: &Map<String, Value>, body: &str) -> Result<(), TestCaseError> {
    let reply = (object, body);
    agree(reply, |_| Ok(Done), |_| Vec::new())?;
    agree(reply, tree::user_token, |user| vec![Some(&user.token)])?;
    agree(reply, tree::users, |Users(users)| {
        users.iter().map(|user| user.token.as_ref()).collect()
    })?;
    agree(reply, tree::group, |_| Vec::new())?;
    agree(reply, tree::members, |_| Vec::new())?;
    agree(reply, |object| Ok(tree::sent(object)), |_| Vec::new())
}

/// Reads bytes as the reply to everything.
fn read_all(body: &[u8]) {
    let _ = reply::read::<Done>(body, ASKED);
    let _ = reply::read::<UserToken>(body, ASKED);
    let _ = reply::read::<Users>(body, ASKED);
    let _ = reply::read::<Group>(body, ASKED);
    let _ = reply::read::<Members>(body, ASKED);
    let _ = reply::read::<Sent>(body, ASKED);
}

/// Any bytes, and where to put them.
fn noise() -> impl Strategy<Value = (Vec<u8>, Index)> {
    any::<(Vec<u8>, Index)>()
}

#[test]
fn reply() {
    fuzz(&(object(), noise()), |(object, (noise, at))| {
        let body = serde_json::to_string(&object).unwrap();
        agree_all(&object, &body)?;
        let pretty = serde_json::to_string_pretty(&object).unwrap();
        agree_all(&object, &format!("\u{FEFF}\r\n {pretty} \n"))?;

        let mut body = body.into_bytes();
        let at = at.index(body.len());
        read_all(&noise);
        read_all(&body[..at]);
        body.splice(at..at, noise);
        read_all(&body);
        Ok(())
    });
}
