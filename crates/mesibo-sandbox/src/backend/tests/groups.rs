use super::*;

#[test]
fn a_group_is_added_with_a_gid_as_a_number() {
    let mut bench = Bench::new();
    let whole = json!({ "group": { "gid": 102_529 }, "op": "groupadd", "result": true });
    assert_eq!(bench.ok("op=groupadd"), whole);
    let group = json!({
        "gid": 102_529,
        "name": "",
        "flag": 0,
        "active": true,
        "expires": time(START + YEAR),
        "expiryext": 0,
        "members": [],
    });
    assert_eq!(bench.state()["groups"], json!([group]));
}

#[test]
fn groupset_changes_only_what_is_mentioned() {
    let mut bench = Bench::new();
    bench.ok("op=groupadd&name=One&flag=1&expiry=100&expiryext=10&active=0");
    let mut after = |params: &str| {
        let reply = bench.ok(&format!("op=groupset&gid=102529{params}"));
        assert_eq!(reply["group"], json!({ "gid": 102_529 }));
        let group = bench.state()["groups"][0].clone();
        ["name", "flag", "active", "expires", "expiryext"].map(|field| group[field].clone())
    };
    let end = time(START + 100);
    let unchanged = [json!("One"), json!(1), json!(false), end, json!(10)];
    assert_eq!(after(""), unchanged);
    let end = time(START + 50);
    let changed = [json!(""), json!(2), json!(true), end, json!(5)];
    let all = "&name=&flag=2&active=1&expiry=50&expiryext=5";
    assert_eq!(after(all), changed);
}

#[test]
fn groupdel_deletes_the_group() {
    let mut bench = Bench::new();
    let gid = bench.add_group("");
    let whole = json!({ "op": "groupdel", "result": true });
    assert_eq!(bench.ok(&format!("op=groupdel&gid={gid}")), whole);
    assert_eq!(bench.error(&format!("op=groupdel&gid={gid}")), "NOGROUP");
}

#[test]
fn a_gid_that_is_not_known_is_no_group() {
    let mut bench = Bench::with_users(&["alice"]);
    for form in [
        "op=groupset&gid=1&name=x",
        "op=groupdel&gid=1",
        "op=groupeditmembers&gid=1&m=alice",
        "op=groupgetmembers&gid=18446744073709551615",
        "op=message&from=alice&gid=1&msg=hi",
    ] {
        assert_eq!(bench.error(form), "NOGROUP", "{form}");
    }
}

#[test]
fn members_are_added_and_removed_by_address() {
    let mut bench = Bench::with_users(&["alice", "bob", "carol"]);
    let gid = bench.add_group("m=alice");
    let whole = json!({ "op": "groupeditmembers", "result": true });
    let add = format!("op=groupeditmembers&gid={gid}&m=carol,bob");
    assert_eq!(bench.ok(&add), whole);
    assert_eq!(bench.members(gid), ["alice", "bob", "carol"]);
    bench.ok(&format!("op=groupeditmembers&gid={gid}&m=bob&delete=1"));
    assert_eq!(bench.members(gid), ["alice", "carol"]);
    bench.ok(&format!("op=groupeditmembers&gid={gid}&m=bob&delete=0"));
    assert_eq!(bench.members(gid), ["alice", "bob", "carol"]);
}

#[test]
fn removing_a_user_who_is_no_member_is_no_error() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    let gid = bench.add_group("m=alice");
    bench.ok(&format!("op=groupeditmembers&gid={gid}&m=bob&delete=1"));
    assert_eq!(bench.members(gid), ["alice"]);
}

#[test]
fn one_unknown_member_leaves_everything_as_it_was() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    let gid = bench.add_group("m=alice");
    // That nothing changes is what `error` checks.
    for form in [
        "op=groupadd&m=alice,nobody".to_owned(),
        format!("op=groupeditmembers&gid={gid}&m=bob,nobody"),
        format!("op=groupeditmembers&gid={gid}&m=alice,nobody&delete=1"),
    ] {
        assert_eq!(bench.error(&form), "NOUSER", "{form}");
    }
    assert_eq!(bench.add_group(""), gid + 1, "a failure took a gid");
}

#[test]
fn a_row_of_groupgetmembers_has_numbers_as_text() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice");
    let row = json!({ "address": "alice", "uid": "5302", "cansend": "1", "canrecv": "1" });
    let whole = json!({ "members": [row], "op": "groupgetmembers", "result": true });
    assert_eq!(bench.ok(&format!("op=groupgetmembers&gid={gid}")), whole);
}

#[test]
fn groupgetmembers_gives_at_most_20_rows_and_an_empty_list_for_none() {
    let mut bench = Bench::new();
    let addresses: Vec<_> = (0..25).map(|number| format!("user{number}")).collect();
    for address in &addresses {
        bench.add_user(address);
    }
    let gid = bench.add_group(&format!("m={}", addresses.join(",")));
    for (params, rows) in [("", 20), ("&count=3", 3), ("&count=1000", 20)] {
        let form = format!("op=groupgetmembers&gid={gid}{params}");
        assert_eq!(
            bench.column(&form, "members", "uid").len(),
            rows,
            "{params}"
        );
    }
    let gid = bench.add_group("");
    let reply = bench.ok(&format!("op=groupgetmembers&gid={gid}"));
    assert_eq!(reply["members"], json!([]));
}

#[test]
fn adding_a_known_member_changes_the_permissions_that_are_mentioned() {
    let mut bench = Bench::with_users(&["alice"]);
    let gid = bench.add_group("m=alice");
    let mut after = |params: &str| {
        bench.ok(&format!("op=groupeditmembers&gid={gid}&m=alice&{params}"));
        bench.state()["groups"][0]["members"].clone()
    };
    let member = |cs, cr, canpub, cansub, canlist| {
        json!([{
            "uid": 5302,
            "address": "alice",
            "cs": cs,
            "cr": cr,
            "canpub": canpub,
            "cansub": cansub,
            "canlist": canlist,
        }])
    };
    let some = member(Some(false), Some(false), None, None, None);
    assert_eq!(after("cs=0&cr=0"), some);
    let all = member(Some(true), Some(false), Some(true), Some(false), Some(true));
    assert_eq!(after("cs=1&canpub=1&cansub=0&canlist=1"), all);
}

#[test]
fn rows_show_what_a_member_may_do() {
    let mut bench = Bench::with_users(&["alice", "bob", "carol"]);
    let gid = bench.add_group("m=alice");
    bench.ok(&format!("op=groupeditmembers&gid={gid}&m=bob&cs=0&cr=0"));
    bench.ok(&format!("op=groupeditmembers&gid={gid}&m=carol&cs=1&cr=1"));
    let mut column = |field| {
        let form = format!("op=groupgetmembers&gid={gid}");
        bench.column(&form, "members", field)
    };
    assert_eq!(column("cansend"), ["1", "0", "1"]);
    assert_eq!(column("canrecv"), ["1", "0", "1"]);

    bench.ok(&format!("op=groupset&gid={gid}&flag=1"));
    let form = format!("op=groupgetmembers&gid={gid}");
    assert_eq!(bench.column(&form, "members", "cansend"), ["0", "0", "1"]);
}
