use super::*;

#[test]
fn a_message_gets_a_mid_as_a_number() {
    let mut bench = Bench::with_users(&["alice", "bob", "carol"]);
    let whole = json!({ "mid": 1_387_628, "op": "message", "result": true });
    let form = "op=message&from=alice&to=bob,carol,bob&type=7&msg=a%26b+c%C3%A9";
    assert_eq!(bench.ok(form), whole);
    let message = json!({
        "mid": 1_387_628,
        "from": "alice",
        "to": ["bob", "carol"],
        "type": 7,
        "sent": time(START),
        "expires": time(START + YEAR),
        "msg": "a&b cé",
    });
    assert_eq!(bench.state()["messages"], json!([message]));
}

#[test]
fn a_message_to_a_group_names_the_group() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice");
    bench.ok(&format!("op=message&from=alice&gid={gid}&msg=hi"));
    let message = bench.state()["messages"][0].clone();
    assert_eq!(message["gid"], gid);
    assert_eq!(message["type"], Value::Null);
    assert!(message.get("to").is_none());
}

#[test]
fn an_unknown_sender_or_receiver_is_no_user_and_nothing_is_sent() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    for people in ["from=nobody&to=bob", "from=alice&to=bob,nobody"] {
        let form = format!("op=message&{people}&msg=hi");
        assert_eq!(bench.error(&form), "NOUSER", "{people}");
    }
}

#[test]
fn an_inactive_user_cannot_send_until_enabled_again() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    let to_bob = "op=message&from=alice&to=bob&msg=hi";
    bench.ok("op=userset&uid=5302&active=0");
    assert_eq!(bench.error(to_bob), "USERDISABLED");
    bench.ok("op=message&from=bob&to=alice&msg=an+inactive+user+still+receives");
    bench.ok("op=userset&uid=5302&active=1");
    bench.ok(to_bob);
}

#[test]
fn a_deleted_user_can_neither_send_nor_receive() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    bench.ok("op=userdel&uid=5302");
    assert_eq!(bench.error("op=message&from=alice&to=bob&msg=hi"), "NOUSER");
    assert_eq!(bench.error("op=message&from=bob&to=alice&msg=hi"), "NOUSER");
}

#[test]
fn a_disabled_group_takes_no_message_until_enabled_again() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice&active=0");
    let form = format!("op=message&from=alice&gid={gid}&msg=hi");
    assert_eq!(bench.error(&form), "GROUPDISABLED");
    bench.ok(&format!("op=groupset&gid={gid}&active=1"));
    bench.ok(&form);
}

/// Who may send to groups of each kind: what becomes of a message from a stranger,
/// a plain member, one who may send, and one who may not.
#[test]
fn flags_and_permissions_decide_who_sends_to_a_group() {
    for (flags, expected) in [
        (0, ["NOMEMBER", "sent", "sent", "NOTALLOWED"]),
        (1, ["NOMEMBER", "NOTALLOWED", "sent", "NOTALLOWED"]),
        (2, ["sent", "sent", "sent", "sent"]),
        (3, ["sent", "sent", "sent", "sent"]),
        (0xF0, ["NOMEMBER", "sent", "sent", "NOTALLOWED"]),
    ] {
        let mut bench = Bench::with_users(&["stranger", "plain", "may", "may-not"]);
        let gid = bench.add_group(&format!("flag={flags}&m=plain"));
        bench.ok(&format!("op=groupeditmembers&gid={gid}&m=may&cs=1"));
        bench.ok(&format!("op=groupeditmembers&gid={gid}&m=may-not&cs=0"));
        let found = ["stranger", "plain", "may", "may-not"].map(|sender| {
            let form = format!("op=message&from={sender}&gid={gid}&msg=hi");
            let reply = bench.raw(&format!("{form}&token={APP_TOKEN}"));
            reply["error"].as_str().unwrap_or("sent").to_owned()
        });
        assert_eq!(found, expected, "flags {flags}");
    }
}
