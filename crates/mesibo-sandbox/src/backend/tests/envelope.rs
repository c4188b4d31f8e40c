//! What all operations share: the envelope, and what is checked before them.

use super::*;

#[test]
fn a_missing_op_or_token_is_reported_before_all_else() {
    let mut bench = Bench::new();
    for (form, op) in [
        ("", ""),
        ("op=useradd", "useradd"),
        ("op=useradd&token=", "useradd"),
        ("op=nonsense", "nonsense"),
        ("token=app-token", ""),
        ("token=wrong", ""),
        ("op=&token=app-token", ""),
    ] {
        let missing = json!({ "op": op, "result": false, "error": "MISSINGPARA" });
        assert_eq!(bench.raw(form), missing, "{form}");
    }
}

#[test]
fn a_wrong_token_is_reported_before_an_unknown_op() {
    let mut bench = Bench::new();
    for op in ["usersget", "someop"] {
        let refused = json!({ "op": op, "result": false, "error": "AUTHFAIL" });
        assert_eq!(bench.raw(&format!("op={op}&token=wrong")), refused);
    }
}

#[test]
fn an_unknown_op_is_reported_whatever_its_parameters() {
    let mut bench = Bench::new();
    for op in ["someop", "UserAdd", "useradd%20"] {
        assert_eq!(bench.error(&format!("op={op}&expiry=x")), "BADOP", "{op}");
    }
}

#[test]
fn the_envelope_of_a_success_is_op_and_result() {
    let mut bench = Bench::new();
    let uid = bench.add_user("alice");
    let deleted = json!({ "op": "userdel", "result": true });
    assert_eq!(bench.ok(&format!("op=userdel&uid={uid}")), deleted);
}

#[test]
fn every_required_parameter_is_missed_when_absent_or_empty() {
    let mut bench = Bench::with_users(&["alice"]);
    for (op, required) in [
        ("useradd", "addr=bob&appid=app"),
        ("userset", "uid=5302"),
        ("userdel", "uid=5302"),
        ("usertoken", "uid=5302&appid=app"),
        ("groupset", "gid=102529"),
        ("groupdel", "gid=102529"),
        ("groupeditmembers", "gid=102529&m=alice"),
        ("groupgetmembers", "gid=102529"),
        ("message", "from=alice&to=alice&msg=hi"),
        ("message", "from=alice&gid=102529&msg=hi"),
    ] {
        for left_out in required.split('&') {
            let (name, _) = left_out.split_once('=').expect("a pair");
            for instead in [String::new(), format!("{name}=")] {
                let params = required.replace(left_out, &instead);
                let form = format!("op={op}&{params}");
                assert_eq!(bench.error(&form), "MISSINGPARA", "{form}");
            }
        }
    }
}

#[test]
fn every_parameter_that_is_not_what_it_should_be_is_refused() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.add_group("m=alice");
    for (op, params) in [
        ("useradd", "addr=bob&appid=app&expiry=-1"),
        ("useradd", "addr=bob&appid=app&active=yes"),
        ("useradd", "addr=bob&appid=app&groups=many"),
        ("userset", "uid=alice&flag=1"),
        ("userset", "uid=5302&flag=-1"),
        ("userset", "uid=5302&active=2"),
        ("userdel", "uid=-5302"),
        ("usertoken", "uid=5302&appid=app&delete=2"),
        ("usertoken", "uid=0x10&appid=app"),
        ("usersget", "count=-1"),
        ("groupadd", "flag=x"),
        ("groupadd", "expiry=-1"),
        ("groupadd", "expiryext=-1"),
        ("groupadd", "active=2"),
        ("groupadd", "m=alice,"),
        ("groupset", "gid=102529&expiry=soon"),
        ("groupset", "gid=18446744073709551616"),
        ("groupdel", "gid=1.5"),
        ("groupeditmembers", "gid=102529&m=alice&delete=2"),
        ("groupeditmembers", "gid=102529&m=,alice"),
        ("groupeditmembers", "gid=102529&m=alice&cs=2"),
        ("groupeditmembers", "gid=102529&m=alice&cr=2"),
        ("groupeditmembers", "gid=102529&m=alice&canpub=2"),
        ("groupeditmembers", "gid=102529&m=alice&cansub=2"),
        ("groupeditmembers", "gid=102529&m=alice&canlist=2"),
        ("groupgetmembers", "gid=102529&count=all"),
        ("message", "from=alice&msg=hi&to=alice&gid=102529"),
        ("message", "from=alice&msg=hi&to=alice,,alice"),
        ("message", "from=alice&msg=hi&gid=x"),
        ("message", "from=alice&msg=hi&to=alice&type=text"),
        ("message", "from=alice&msg=hi&to=alice&expiry=-1"),
    ] {
        let form = format!("op={op}&{params}");
        assert_eq!(bench.error(&form), "BADPARA", "{form}");
    }
}

#[test]
fn every_documented_op_is_known() {
    let mut bench = Bench::new();
    for op in OPERATIONS {
        let reply = bench.raw(&format!("op={op}&token={APP_TOKEN}"));
        assert_ne!(reply["error"], "BADOP", "{op}");
    }
}

#[test]
fn ids_keep_counting_after_everything_is_forgotten() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    bench.add_group("m=alice");
    bench.ok("op=message&from=alice&to=bob&msg=hi");
    bench.worlds.make(DEFAULT_WORLD).reset();
    assert_eq!(bench.state(), nothing());

    assert_eq!(bench.add_user("alice"), "5304");
    assert_eq!(bench.add_group(""), 102_530);
    let sent = bench.ok("op=message&from=alice&to=alice&msg=hi");
    assert_eq!(sent["mid"], 1_387_629);
}
