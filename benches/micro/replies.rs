//! The reading of Mesibo's replies.

use std::{fmt::Write as _, hint::black_box};

use divan::Bencher;
use mesibo::{
    operation::op,
    reply::{FromReply, Reply, Sent, UserToken, Users},
};

/// Reads a reply as a call does.
fn read<R: FromReply>(body: &[u8], op: &str) -> R {
    let Ok(reply) = Reply::read(black_box(body), op) else {
        panic!("it is a yes");
    };
    R::from_reply(&reply).expect("it keeps its promises")
}

#[divan::bench]
fn message() -> Sent {
    let body = br#"{"op":"message","mid":1387628,"result":true}"#;
    read(body, op::MESSAGE)
}

#[divan::bench]
fn user_token() -> UserToken {
    let body = br#"{"user":{"uid":"5302","token":"89314021d442c8169b2f3baf71c79caa3b026c16"},
        "op":"useradd","result":true}"#;
    read(body, op::USER_ADD)
}

#[divan::bench(args = [1, 20])]
fn users(bencher: Bencher, users: u32) {
    let mut body = r#"{"op":"usersget","result":"OK","users":["#.to_owned();
    for uid in 1..=users {
        let comma = if uid == 1 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"uid":"{uid}","address":"user-{uid}@example.com","active":1,"flag":0,
            "online":false,"lastonline":1598999925,"appid":"com.example"}}"#
        );
    }
    body += "]}";
    bencher.bench(|| read::<Users>(body.as_bytes(), op::USERS_GET));
}

#[divan::bench]
fn refusal() -> bool {
    let body = br#"{"op":"message","result":false,"error":"NOUSER"}"#;
    Reply::read(black_box(body), op::MESSAGE).is_err()
}
