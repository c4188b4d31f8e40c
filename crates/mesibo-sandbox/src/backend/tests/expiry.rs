use super::*;

const MAX: u64 = u64::MAX;

#[test]
fn a_token_lives_for_its_minutes_and_is_gone_then() {
    let mut bench = Bench::new();
    bench.ok("op=useradd&addr=alice&appid=app&expiry=2");
    bench.pass(119);
    assert_eq!(bench.column("op=usersget", "users", "appid"), ["app"]);
    bench.pass(1);
    let reply = bench.ok("op=usersget");
    assert!(reply["users"][0].get("token").is_none());
    assert_eq!(bench.state()["users"][0]["tokens"], json!([]));
}

#[test]
fn a_row_shows_the_newest_of_the_tokens_that_still_live() {
    let mut bench = Bench::new();
    bench.ok("op=useradd&addr=alice&appid=long&expiry=10");
    bench.ok("op=useradd&addr=alice&appid=short&expiry=1");
    assert_eq!(bench.column("op=usersget", "users", "appid"), ["short"]);
    bench.pass(60);
    assert_eq!(bench.column("op=usersget", "users", "appid"), ["long"]);
}

#[test]
fn everything_lives_for_a_year_by_default() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=useradd&addr=alice&appid=app");
    bench.ok("op=usertoken&uid=5302&appid=other");
    bench.add_group("");
    bench.ok("op=message&from=alice&to=alice&msg=hi");
    bench.pass(YEAR - 1);
    let state = bench.state();
    assert_eq!(
        state["users"][0]["tokens"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(state["groups"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["messages"].as_array().map(Vec::len), Some(1));
    bench.pass(1);
    let state = bench.state();
    assert_eq!(state["users"][0]["tokens"], json!([]));
    assert_eq!(state["groups"], json!([]));
    assert_eq!(state["messages"], json!([]));
}

#[test]
fn an_expired_message_disappears_alone() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=message&from=alice&to=alice&msg=long&expiry=20");
    bench.ok("op=message&from=alice&to=alice&msg=short&expiry=10");
    bench.pass(10);
    let messages = bench.state()["messages"].clone();
    assert_eq!(messages.as_array().map(Vec::len), Some(1));
    assert_eq!(messages[0]["msg"], "long");
    bench.pass(10);
    assert_eq!(bench.state()["messages"], json!([]));
}

#[test]
fn an_expired_group_is_as_if_it_did_not_exist() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice&expiry=10");
    bench.pass(9);
    bench.ok(&format!("op=groupgetmembers&gid={gid}"));
    bench.pass(1);
    for form in [
        format!("op=groupset&gid={gid}&expiry=100"),
        format!("op=groupdel&gid={gid}"),
        format!("op=groupeditmembers&gid={gid}&m=alice"),
        format!("op=groupgetmembers&gid={gid}"),
        format!("op=message&from=alice&gid={gid}&msg=hi"),
    ] {
        assert_eq!(bench.error(&form), "NOGROUP", "{form}");
    }
}

#[test]
fn groupset_gives_a_group_a_new_life() {
    let mut bench = Bench::new();
    let gid = bench.add_group("expiry=10");
    bench.pass(5);
    bench.ok(&format!("op=groupset&gid={gid}&expiry=2"));
    bench.pass(2);
    assert_eq!(bench.error(&format!("op=groupdel&gid={gid}")), "NOGROUP");
}

#[test]
fn a_message_extends_the_life_of_its_group_and_never_shortens_it() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice&expiry=10&expiryext=5");
    let send = format!("op=message&from=alice&gid={gid}&msg=hi");
    let list = format!("op=groupgetmembers&gid={gid}");
    bench.ok(&send);
    bench.pass(9);
    bench.ok(&send);
    bench.pass(4);
    bench.ok(&list);
    bench.pass(1);
    assert_eq!(bench.error(&list), "NOGROUP");
}

#[test]
fn a_message_that_is_refused_extends_nothing() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("expiry=10&expiryext=100");
    let send = format!("op=message&from=alice&gid={gid}&msg=hi");
    // That nothing changes is what `error` checks.
    assert_eq!(bench.error(&send), "NOMEMBER");
    bench.pass(10);
    assert_eq!(bench.error(&send), "NOGROUP");
}

#[test]
fn an_expiry_of_zero_is_over_at_once() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=useradd&addr=alice&appid=app&expiry=0");
    bench.add_group("expiry=0");
    bench.ok("op=message&from=alice&to=alice&msg=hi&expiry=0");
    let state = bench.state();
    assert_eq!(state["users"][0]["tokens"], json!([]));
    assert_eq!(state["groups"], json!([]));
    assert_eq!(state["messages"], json!([]));
}

#[test]
fn an_expiry_too_large_to_add_up_is_as_late_as_can_be() {
    let mut bench = Bench::new();
    bench.ok(&format!("op=useradd&addr=alice&appid=app&expiry={MAX}"));
    let gid = bench.add_group(&format!("m=alice&expiry={MAX}&expiryext={MAX}"));
    bench.ok(&format!(
        "op=message&from=alice&gid={gid}&msg=hi&expiry={MAX}"
    ));
    bench.pass(1000 * YEAR);
    let state = bench.state();
    assert_eq!(
        state["users"][0]["tokens"][0]["expires"],
        "9999-12-30T22:00:00.999999999Z"
    );
    assert_eq!(
        state["groups"][0]["expires"],
        "9999-12-30T22:00:00.999999999Z"
    );
    assert_eq!(
        state["messages"][0]["expires"],
        "9999-12-30T22:00:00.999999999Z"
    );
}

#[test]
fn a_clock_before_1970_is_survived() {
    let mut bench = Bench::new();
    bench.now = SystemTime::UNIX_EPOCH - Duration::from_secs(YEAR);
    bench.ok("op=useradd&addr=alice&appid=app&expiry=1");
    assert_eq!(
        bench.state()["users"][0]["tokens"][0]["expires"],
        "1969-01-01T00:01:00Z"
    );
}
