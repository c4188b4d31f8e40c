use super::*;

#[test]
fn a_user_is_added_with_a_uid_as_text_and_a_token() {
    let mut bench = Bench::new();
    let reply = bench.ok("op=useradd&addr=alice&appid=app");
    let token = text(&reply["user"]["token"]);
    assert_eq!(token.len(), 50);
    let whole = json!({
        "user": { "uid": "5302", "token": token },
        "op": "useradd",
        "result": true,
    });
    assert_eq!(reply, whole);
}

#[test]
fn a_known_address_keeps_its_uid_and_gets_a_new_token_for_the_app() {
    let mut bench = Bench::new();
    let first = bench.ok("op=useradd&addr=alice&appid=app");
    let other = bench.ok("op=useradd&addr=alice&appid=other");
    let second = bench.ok("op=useradd&addr=alice&appid=app");
    assert_eq!(first["user"]["uid"], second["user"]["uid"]);
    assert_ne!(first["user"]["token"], second["user"]["token"]);

    let tokens = &bench.state()["users"][0]["tokens"];
    assert_eq!(tokens.as_array().expect("a list").len(), 2);
    assert_eq!(tokens[0]["token"], other["user"]["token"]);
    assert_eq!(tokens[1]["token"], second["user"]["token"]);
}

#[test]
fn adding_a_user_again_changes_only_what_is_mentioned() {
    let mut bench = Bench::new();
    bench.ok("op=useradd&addr=alice&appid=app&name=Alice&active=0&groups=7");
    bench.ok("op=useradd&addr=alice&appid=app");
    let user = bench.state()["users"][0].clone();
    assert_eq!(user["name"], "Alice");
    assert_eq!(user["active"], false);
    assert_eq!(user["groups"], 7);

    bench.ok("op=useradd&addr=alice&appid=app&name=&active=1&groups=8");
    let user = bench.state()["users"][0].clone();
    assert_eq!(user["name"], "");
    assert_eq!(user["active"], true);
    assert_eq!(user["groups"], 8);
}

#[test]
fn a_row_of_usersget_mixes_text_and_numbers() {
    let mut bench = Bench::new();
    let added = bench.ok("op=useradd&addr=alice&appid=app&name=Alice+A.&active=0");
    bench.ok("op=userset&uid=5302&flag=3");
    let row = json!({
        "uid": "5302",
        "address": "alice",
        "active": 0,
        "flag": "3",
        "online": 0,
        "lastonline": 0,
        "name": "Alice A.",
        "appid": "app",
        "token": added["user"]["token"],
    });
    let whole = json!({ "users": [row], "op": "usersget", "result": true });
    assert_eq!(bench.ok("op=usersget&addr=alice"), whole);
}

#[test]
fn a_row_leaves_out_a_name_and_a_token_that_the_user_has_not() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=usertoken&uid=5302&delete=1");
    let reply = bench.ok("op=usersget");
    let row = reply["users"][0].as_object().expect("a row");
    for absent in ["name", "appid", "token"] {
        assert!(!row.contains_key(absent), "{absent}");
    }
}

#[test]
fn usersget_matches_wildcards_and_answers_an_empty_list_when_nothing_fits() {
    let mut bench = Bench::with_users(&["alice@a.com", "bob@a.com", "alice@b.com"]);
    let mut found = |pattern: &str| {
        let form = format!("op=usersget&addr={pattern}");
        bench.column(&form, "users", "address")
    };
    assert_eq!(found("alice*"), ["alice@a.com", "alice@b.com"]);
    assert_eq!(found("*@a.com"), ["alice@a.com", "bob@a.com"]);
    assert_eq!(found("*o*@*"), ["bob@a.com"]);
    assert_eq!(found("bob@a.com"), ["bob@a.com"]);
    assert_eq!(found("*").len(), 3);
    assert_eq!(found("").len(), 3);
    assert_eq!(bench.ok("op=usersget&addr=carol")["users"], json!([]));
}

#[test]
fn usersget_gives_at_most_20_rows_whatever_count_is_asked_for() {
    let mut bench = Bench::new();
    for number in 0..25 {
        bench.add_user(&format!("user{number}"));
    }
    for (params, rows) in [
        ("", 20),
        ("&count=0", 0),
        ("&count=1", 1),
        ("&count=20", 20),
        ("&count=21", 20),
        ("&count=18446744073709551615", 20),
    ] {
        let users = bench.column(&format!("op=usersget{params}"), "users", "uid");
        assert_eq!(users.len(), rows, "{params}");
    }
}

#[test]
fn userset_changes_only_what_is_mentioned() {
    let mut bench = Bench::with_users(&["alice"]);
    let mut after = |params: &str| {
        bench.ok(&format!("op=userset&uid=5302{params}"));
        let user = bench.state()["users"][0].clone();
        (user["flag"].clone(), user["active"].clone())
    };
    assert_eq!(after("&flag=5"), (json!(5), json!(true)));
    assert_eq!(after("&active=0"), (json!(5), json!(false)));
    assert_eq!(after(""), (json!(5), json!(false)));
    assert_eq!(after("&flag=0&active=1"), (json!(0), json!(true)));
}

#[test]
fn usertoken_replaces_the_token_of_the_app() {
    let mut bench = Bench::new();
    let added = bench.ok("op=useradd&addr=alice&appid=app");
    let reply = bench.ok("op=usertoken&uid=5302&appid=app");
    let token = text(&reply["user"]["token"]);
    assert_ne!(added["user"]["token"], *token);
    let whole = json!({
        "user": { "uid": "5302", "appid": "app", "token": token },
        "op": "usertoken",
        "result": true,
    });
    assert_eq!(reply, whole);
    assert_eq!(bench.column("op=usersget", "users", "token"), [token]);
}

#[test]
fn usertoken_with_delete_deletes_the_token_of_the_app_and_leaves_the_user() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=useradd&addr=alice&appid=other");
    let whole = json!({ "op": "usertoken", "result": true });
    assert_eq!(bench.ok("op=usertoken&uid=5302&appid=app&delete=1"), whole);
    assert_eq!(bench.column("op=usersget", "users", "appid"), ["other"]);
    // There is none left to delete.
    assert_eq!(bench.ok("op=usertoken&uid=5302&appid=app&delete=1"), whole);
}

#[test]
fn usertoken_with_delete_and_no_appid_deletes_all_tokens_and_leaves_the_user() {
    let mut bench = Bench::with_users(&["alice"]);
    bench.ok("op=useradd&addr=alice&appid=other");
    bench.ok("op=usertoken&uid=5302&delete=1");
    assert_eq!(bench.state()["users"][0]["tokens"], json!([]));
    assert_eq!(bench.column("op=usersget", "users", "address"), ["alice"]);
}

#[test]
fn userdel_deletes_the_user_its_tokens_and_its_memberships() {
    let mut bench = Bench::with_users(&["alice", "bob"]);
    let gid = bench.add_group("m=alice,bob");
    bench.ok("op=userdel&uid=5302");
    assert_eq!(bench.column("op=usersget", "users", "address"), ["bob"]);
    assert_eq!(bench.members(gid), ["bob"]);

    // The address is a new user's now, who is in no group.
    assert_eq!(bench.add_user("alice"), "5304");
    assert_eq!(bench.members(gid), ["bob"]);
}

#[test]
fn a_uid_that_is_not_known_is_no_user() {
    let mut bench = Bench::with_users(&["alice"]);
    for form in [
        "op=userset&uid=1&active=0",
        "op=userdel&uid=18446744073709551615",
        "op=usertoken&uid=0&appid=app",
        "op=usertoken&uid=1&delete=1",
    ] {
        assert_eq!(bench.error(form), "NOUSER", "{form}");
    }
}
