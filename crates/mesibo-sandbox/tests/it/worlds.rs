//! Worlds: one for each token, none of which sees another.

use std::collections::BTreeMap;

use http::StatusCode;
use mesibo_sandbox::{Limits, Sandbox, Tokens};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Running, json, status};

const WORLDS: [&str; 2] = ["one", "two"];

/// Operations in either of two worlds.
fn history() -> impl Strategy<Value = Vec<(usize, String)>> {
    let operation = prop_oneof![
        "[ab]".prop_map(|address| format!("op=useradd&addr={address}&appid=demo&expiry=600")),
        (5302..5304u64).prop_map(|uid| format!("op=userdel&uid={uid}")),
        "[ab]".prop_map(|member| format!("op=groupadd&m={member}")),
        (102_529..102_531u64).prop_map(|gid| format!("op=groupdel&gid={gid}")),
        ("[ab]", "[ab]").prop_map(|(from, to)| format!("op=message&from={from}&to={to}&msg=hi")),
        Just("op=usersget".to_owned()),
    ];
    prop::collection::vec((0..2usize, operation), 1..40)
}

/// The replies without the tokens, which are random.
fn comparable(mut reply: Value) -> Value {
    if let Some(user) = reply.get_mut("user") {
        user["token"].take();
    }
    for user in reply
        .get_mut("users")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        user["token"].take();
    }
    reply
}

#[test]
fn a_world_replies_as_if_it_were_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (both, alone) =
        runtime.block_on(async { (Running::start().await, Running::start().await) });
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let passed = runner.run(&history(), |history| {
        runtime.block_on(async {
            for world in WORLDS {
                // A deleted world begins anew, ids included.
                for sandbox in [&both, &alone] {
                    let path = format!("/sandbox/worlds/{world}");
                    let deleted = status(sandbox.request(http::Method::DELETE, &path)).await;
                    assert!([StatusCode::NO_CONTENT, StatusCode::NOT_FOUND].contains(&deleted));
                }
            }
            let mut replies = [Vec::new(), Vec::new()];
            for (world, form) in &history {
                let reply = json(both.op_in(WORLDS[*world], form)).await;
                replies[*world].push(comparable(reply));
            }
            for (index, replies) in replies.into_iter().enumerate() {
                let forms = history.iter().filter(|(world, _)| *world == index);
                for ((_, form), reply) in forms.zip(replies) {
                    let expected = json(alone.op_in(WORLDS[index], form)).await;
                    assert_eq!(reply, comparable(expected), "{form}");
                }
            }
        });
        Ok(())
    });
    passed.unwrap();
    runtime.block_on(async {
        both.stop().await;
        alone.stop().await;
    });
}

#[tokio::test]
async fn a_world_has_a_log_a_clock_and_rules_of_its_own() {
    let sandbox = Running::start().await;
    let rules = json!([{ "op": "useradd", "error": "MINE" }]);
    sandbox.put("/sandbox/faults?world=one", &rules).await;
    sandbox
        .post("/sandbox/clock?world=one", &json!({ "advance": "24h" }))
        .await;
    let add = "op=useradd&addr=alice&appid=demo";
    assert_eq!(json(sandbox.op_in("one", add)).await["error"], "MINE");
    sandbox.ok_in("two", add).await;
    for (world, users, requests) in [("one", 0, 1), ("two", 1, 1), ("default", 0, 0)] {
        let count = async |list: &str| {
            sandbox.get(&format!("/sandbox/{list}?world={world}")).await["total"].clone()
        };
        assert_eq!(count("users").await, users, "{world}");
        assert_eq!(count("requests").await, requests, "{world}");
    }
    let worlds = sandbox.get("/sandbox/worlds").await;
    let names: Vec<_> = worlds["worlds"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&names[1]["name"], &names[1]["token"]),
        (&json!("one"), &json!("sandbox-one"))
    );
    assert_eq!(names.len(), 3);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_request_with_no_world_is_logged_in_the_default_one() {
    let tokens = BTreeMap::from([("secret".to_owned(), "shop".to_owned())]);
    let sandbox = Running::with(|builder| builder.tokens(Tokens::Only(tokens))).await;
    let refused = json(sandbox.form("op=usersget&token=wrong")).await;
    assert_eq!(
        refused,
        json!({ "op": "usersget", "result": false, "error": "AUTHFAIL" })
    );
    assert_eq!(
        json(sandbox.form("op=usersget")).await["error"],
        "MISSINGPARA"
    );
    assert_eq!(
        json(sandbox.form("op=usersget&token=secret")).await["result"],
        true
    );
    assert_eq!(sandbox.get("/sandbox/requests").await["total"], 2);
    assert_eq!(
        sandbox.get("/sandbox/requests?world=shop").await["total"],
        1
    );
    // The page has a token of its own, and the real one is not shown.
    let worlds = sandbox.get("/sandbox/worlds").await;
    assert!(!worlds.to_string().contains("secret"), "{worlds}");
    let shop = &worlds["worlds"][1];
    assert_eq!(
        (&shop["name"], &shop["token"]),
        (&json!("shop"), &Value::Null)
    );
    let local = shop["local_token"].as_str().expect("a token");
    let form = format!("op=useradd&addr=alice&appid=demo&token={local}");
    assert_eq!(json(sandbox.form(&form)).await["result"], true);
    assert_eq!(sandbox.get("/sandbox/users?world=shop").await["total"], 1);
    let elsewhere = local.replace("shop", "elsewhere");
    let refused = json(sandbox.form(&format!("op=usersget&token={elsewhere}"))).await;
    assert_eq!(refused["error"], "AUTHFAIL");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_sandbox_that_is_bound_with_a_token_takes_that_alone() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let sandbox = Sandbox::bind(listen, "secret").await.unwrap();
    let url = format!("http://{}/api.php?op=groupadd&token=", sandbox.local_addr());
    let serving = tokio::spawn(sandbox.serve(std::future::pending()));
    let client = crate::support::client();
    let reply = json(client.get(format!("{url}secret"))).await;
    assert_eq!(reply["result"], true);
    assert_eq!(
        json(client.get(format!("{url}sandbox"))).await["error"],
        "AUTHFAIL"
    );
    serving.abort();
}

#[tokio::test]
async fn there_are_only_so_many_worlds_users_groups_and_members() {
    let mut limits = Limits::default();
    limits.worlds = 2;
    limits.users = 2;
    limits.groups = 1;
    limits.memberships = 1;
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    sandbox.ok_in("one", "op=usersget").await;
    let refused = json(sandbox.op_in("two", "op=usersget")).await;
    assert_eq!(refused["error"], "TOOMANYWORLDS");
    sandbox.delete("/sandbox/worlds/one").await;
    sandbox.ok_in("two", "op=usersget").await;

    sandbox.add_users(&["alice", "bob"]).await;
    assert_eq!(
        sandbox.error("op=useradd&addr=carol&appid=x").await,
        "TOOMANYUSERS"
    );
    sandbox.ok("op=useradd&addr=bob&appid=other").await;
    assert_eq!(
        sandbox.error("op=groupadd&m=alice,bob").await,
        "TOOMANYMEMBERS"
    );
    sandbox.ok("op=groupadd&m=alice").await;
    assert_eq!(sandbox.error("op=groupadd").await, "TOOMANYGROUPS");
    let edit = "op=groupeditmembers&gid=102529&m=bob";
    assert_eq!(sandbox.error(edit).await, "TOOMANYMEMBERS");
    sandbox.ok("op=userdel&uid=5302").await;
    sandbox.ok(edit).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_oldest_messages_and_requests_make_room_for_new_ones() {
    let mut limits = Limits::default();
    limits.messages = 3;
    limits.requests = 2;
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    sandbox.add_users(&["alice"]).await;
    for number in 1..=5 {
        sandbox
            .ok(&format!("op=message&from=alice&to=alice&msg=m{number}"))
            .await;
    }
    let messages = sandbox.get("/sandbox/messages").await;
    assert_eq!(
        (&messages["total"], &messages["messages"][0]["msg"]),
        (&json!(3), &json!("m3"))
    );
    assert_eq!(sandbox.get("/sandbox/requests").await["total"], 2);

    let mut limits = Limits::default();
    limits.message_bytes = 2000;
    let small = Running::with(|builder| builder.limits(limits)).await;
    small.add_users(&["alice"]).await;
    for _ in 0..5 {
        let text = "x".repeat(500);
        small
            .ok(&format!("op=message&from=alice&to=alice&msg={text}"))
            .await;
    }
    assert_eq!(small.get("/sandbox/messages").await["total"], 2);
    sandbox.stop().await;
    small.stop().await;
}
