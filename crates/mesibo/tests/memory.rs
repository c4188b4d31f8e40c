//! Reading a reply takes memory in proportion to what is kept of it. The allocator counts for
//! the whole process, so this is a program of its own, with one test.

use mesibo::{
    operation::op,
    reply::{self, FromReply, Group, Members, Sent, UserToken, Users},
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Size of the replies, in bytes: as large as a client reads by default.
const REPLY: usize = 1 << 20;

/// What reading a reply may take, in bytes: fifty items, and more than they need.
const ENOUGH: usize = 64 << 10;

/// A reply that is a success, and has `part` over and over again in a field.
fn reply(field: &str, open: &str, part: impl Fn(usize) -> String, close: &str) -> String {
    let mut reply = format!(r#"{{"result": true, "{field}": {open}"#);
    let mut number = 0;
    while reply.len() < REPLY {
        if number > 0 {
            reply.push(',');
        }
        reply.push_str(&part(number));
        number += 1;
    }
    reply + close + "}"
}

/// How many bytes reading a reply takes at most.
fn peak<R: FromReply>(reply: &str, op: &str) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let _ = reply::read::<R>(reply.as_bytes(), op);
    ALLOCATOR.peak_usage() - before
}

#[test]
fn a_reply_takes_no_more_memory_than_what_is_kept_of_it() {
    let empty = |_| "{}".to_owned();
    let full = |_| r#"{"uid": 1, "address": "alice", "appid": "demo"}"#.to_owned();
    let named = |number| format!(r#""{number}": {{}}"#);
    let falling = |number| format!(r#""{}": {{}}"#, usize::MAX - number);
    let text = |_| r#""text""#.to_owned();
    for field in [
        "users", "members", "user", "group", "mid", "result", "error", "op", "more",
    ] {
        for reply in [
            reply(field, "[", empty, "]"),
            reply(field, "[", full, "]"),
            reply(field, "[", text, "]"),
            reply(field, "{", named, "}"),
            reply(field, "{", falling, "}"),
        ] {
            let peak = match field {
                "users" => peak::<Users>(&reply, op::USERS_GET),
                "members" => peak::<Members>(&reply, op::GROUP_GET_MEMBERS),
                "user" => peak::<UserToken>(&reply, op::USER_ADD),
                "group" => peak::<Group>(&reply, op::GROUP_ADD),
                _ => peak::<Sent>(&reply, op::MESSAGE),
            };
            assert!(
                peak <= ENOUGH,
                "{peak} bytes for {field}: {}",
                &reply[..100]
            );
        }
    }
}
