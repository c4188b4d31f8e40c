//! Time, snapshots, and files.

use std::time::Duration;

use http::{Method, StatusCode};
use mesibo_sandbox::Sandbox;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Running, calls};

#[tokio::test]
async fn a_clock_that_is_moved_lets_things_expire() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice"]).await;
    sandbox
        .ok("op=message&from=alice&to=alice&msg=short&expiry=3600")
        .await;
    sandbox.ok("op=message&from=alice&to=alice&msg=long").await;
    sandbox
        .post("/sandbox/clock", &json!({ "state": "frozen" }))
        .await;
    sandbox
        .post("/sandbox/clock", &json!({ "advance": "1h" }))
        .await;
    let left = sandbox.get("/sandbox/messages").await;
    assert_eq!(
        (&left["total"], &left["messages"][0]["msg"]),
        (&json!(1), &json!("long"))
    );

    let set = json!({ "set": "2100-01-01T12:00:00+02:00" });
    sandbox.post("/sandbox/clock", &set).await;
    let clock = sandbox.get("/sandbox/clock").await;
    assert_eq!(clock["now"], "2100-01-01T10:00:00Z");
    assert_eq!(clock["state"], "frozen");
    assert_eq!(
        sandbox.get("/sandbox/users").await["users"][0]["tokens"],
        json!([])
    );
    sandbox.ok("op=message&from=alice&to=alice&msg=later").await;
    let message = sandbox.get("/sandbox/messages").await["messages"][0].clone();
    assert_eq!(message["sent"], "2100-01-01T10:00:00Z");

    let back = sandbox
        .request(Method::DELETE, "/sandbox/clock")
        .send()
        .await
        .unwrap();
    let back: Value = back.json().await.unwrap();
    assert_eq!(back["state"], "running");
    assert!(back["now"].as_str() < clock["now"].as_str(), "{back}");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wrong_change_of_the_clock_is_refused() {
    let sandbox = Running::start().await;
    for body in [
        json!({}),
        json!({ "advance": "-1h" }),
        json!({ "set": "tomorrow" }),
        json!({ "state": "stopped" }),
        json!({ "speed": 2 }),
    ] {
        let refused = sandbox.send(Method::POST, "/sandbox/clock", &body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    sandbox.stop().await;
}

/// Operations of all kinds, on few names, so that many of them succeed.
fn operations() -> impl Strategy<Value = Vec<String>> {
    let address = prop_oneof![Just("alice"), Just("bob"), Just("carol")];
    let gid = prop_oneof![Just(102_529), Just(102_530)];
    let uid = prop_oneof![Just(5302), Just(5303)];
    let operation = prop_oneof![
        4 => (address.clone(), any::<bool>(), 0..3u32).prop_map(|(address, active, expiry)| {
            format!("op=useradd&addr={address}&appid=demo&active={active}&expiry={expiry}0&name=N{expiry}")
        }),
        1 => uid.clone().prop_map(|uid| format!("op=userdel&uid={uid}")),
        1 => (uid, 0..9u8).prop_map(|(uid, flag)| format!("op=userset&uid={uid}&flag={flag}")),
        2 => (address.clone(), 0..4u8).prop_map(|(member, flag)| {
            format!("op=groupadd&name=G&flag={flag}&m={member}&expiryext=60")
        }),
        2 => (gid.clone(), address.clone(), any::<bool>(), 0..2u8).prop_map(
            |(gid, member, delete, cs)| {
                let delete = u8::from(delete);
                format!("op=groupeditmembers&gid={gid}&m={member}&delete={delete}&cs={cs}")
            }
        ),
        1 => gid.clone().prop_map(|gid| format!("op=groupdel&gid={gid}")),
        4 => (address.clone(), address.clone(), 0..5u32).prop_map(|(from, to, expiry)| {
            format!("op=message&from={from}&to={to}&msg=hi+%3Cb%3E&expiry={expiry}000&type=1")
        }),
        2 => (address, gid).prop_map(|(from, gid)| {
            format!("op=message&from={from}&gid={gid}&msg=to+all")
        }),
        1 => Just("clock".to_owned()),
    ];
    prop::collection::vec(operation, 1..40)
}

async fn carry_out(sandbox: &Running, world: &str, operations: &[String]) {
    for operation in operations {
        if operation == "clock" {
            let path = format!("/sandbox/clock?world={world}");
            sandbox.post(&path, &json!({ "advance": "10m" })).await;
        } else {
            // Many are refused, which is as good a history as any.
            crate::support::json(sandbox.op_in(world, operation)).await;
        }
    }
}

#[test]
fn a_snapshot_that_is_put_back_gives_the_same_state() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(Running::start());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let passed = runner.run(&operations(), |operations| {
        runtime.block_on(async {
            sandbox.delete("/sandbox/state").await;
            sandbox
                .post("/sandbox/clock", &json!({ "state": "frozen" }))
                .await;
            carry_out(&sandbox, "default", &operations).await;
            let snapshot = sandbox.get("/sandbox/snapshot?world=default").await;
            let before = sandbox.get("/sandbox/state").await;

            // What happens in between is gone.
            carry_out(&sandbox, "default", &operations).await;
            sandbox.put("/sandbox/snapshot", &snapshot).await;
            assert_eq!(sandbox.get("/sandbox/state").await, before);
            assert_eq!(sandbox.get("/sandbox/snapshot").await, snapshot);

            // It goes on alike, under another name, too.
            sandbox.put("/sandbox/snapshot?world=copy", &snapshot).await;
            let ids = async |world: &str| {
                let user = sandbox.ok_in(world, "op=useradd&addr=new&appid=demo").await;
                let group = sandbox.ok_in(world, "op=groupadd").await;
                (user["user"]["uid"].clone(), group["group"]["gid"].clone())
            };
            assert_eq!(ids("default").await, ids("copy").await);
        });
        Ok(())
    });
    passed.unwrap();
    runtime.block_on(sandbox.stop());
}

#[tokio::test]
async fn a_seed_written_by_hand_needs_only_what_matters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.json");
    let seed = json!({ "version": 1, "worlds": { "default": {
        "users": [{ "address": "alice", "name": "Alice" }, { "address": "bob", "uid": 7 }],
        "groups": [{ "name": "Team", "members": ["alice", { "address": "bob", "cs": true }] }],
        "messages": [{ "from": "alice", "to": ["bob"], "msg": "hi" }],
    } } });
    std::fs::write(&file, seed.to_string()).unwrap();
    let sandbox = Running::with(|builder| builder.seed_file(&file)).await;
    let state = sandbox.get("/sandbox/state").await;
    assert_eq!(state["users"][0]["uid"], 7);
    assert_eq!(state["users"][1]["uid"], 5302);
    assert_eq!(state["groups"][0]["members"][0]["cs"], true);
    assert_eq!(state["messages"][0]["mid"], 1_387_628);
    sandbox.ok("op=groupgetmembers&gid=102529").await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_makes_no_sense_changes_nothing() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice"]).await;
    let world = |world: Value| json!({ "version": 1, "worlds": { "default": world } });
    for (snapshot, wrong) in [
        (
            json!({ "version": 2, "worlds": {} }),
            "a snapshot of version 2, not 1",
        ),
        (
            json!({ "version": 1, "worlds": { "a b": {} } }),
            "is no name of a world",
        ),
        (world(json!({ "user": [] })), "unknown field `user`"),
        (
            world(json!({ "users": [{ "address": "" }] })),
            "must not be empty",
        ),
        (
            world(json!({ "users": [{ "address": "a" }, { "address": "a" }] })),
            "is there twice",
        ),
        (
            world(json!({ "users": [{ "address": "a", "uid": 1_u64 << 53 }] })),
            "is too large",
        ),
        (
            world(json!({ "groups": [{ "members": ["nobody"] }] })),
            "no user has the address",
        ),
        (world(json!({ "groups": [{ "gid": 0 }] })), "the gid 0"),
        (
            world(json!({ "messages": [{ "from": "a", "msg": "x" }] })),
            "either to or gid",
        ),
        (world(json!({ "clock": "late" })), "unknown variant `late`"),
    ] {
        let refused = sandbox
            .send(Method::PUT, "/sandbox/snapshot", &snapshot)
            .await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{snapshot}");
        let error: Value = refused.json().await.unwrap();
        assert!(
            error["error"].as_str().unwrap().contains(wrong),
            "{wrong}: {error}"
        );
        assert_eq!(sandbox.get("/sandbox/users").await["total"], 1);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn data_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.json");
    let sandbox = Running::with(|builder| builder.data_file(&file)).await;
    sandbox.add_users(&["alice"]).await;
    sandbox
        .ok_in("shop", "op=useradd&addr=bob&appid=demo")
        .await;
    sandbox
        .post("/sandbox/clock?world=shop", &json!({ "advance": "240h" }))
        .await;
    let before = sandbox.get("/sandbox/snapshot").await;
    sandbox.stop().await;
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "no file is left over: {names:?}");

    // The seed is for the first start alone.
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, r#"{ "version": 1, "worlds": {} }"#).unwrap();
    let sandbox = Running::with(|builder| builder.data_file(&file).seed_file(&seed)).await;
    assert_eq!(sandbox.get("/sandbox/snapshot").await, before);
    let (kept, clock) = (
        &before["worlds"]["shop"],
        sandbox.get("/sandbox/clock?world=shop").await,
    );
    assert!(kept["users"][0]["tokens"][0]["token"].is_string());
    assert!(clock["now"].as_str() > clock["system"].as_str());
    sandbox.stop().await;
}

#[tokio::test]
async fn data_is_written_while_the_sandbox_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.json");
    let sandbox = Running::with(|builder| builder.data_file(&file)).await;
    sandbox.add_users(&["somebody"]).await;
    let written = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("somebody")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written)
        .await
        .expect("it is written");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_data_file_that_is_cut_short_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.json");
    std::fs::write(&file, r#"{ "version": 1, "#).unwrap();
    let error = Sandbox::builder()
        .data_file(&file)
        .bind()
        .await
        .err()
        .expect("half a file");
    assert!(error.to_string().contains("data.json: EOF"), "{error}");
    let nowhere = folder.path().join("nowhere/data.json");
    let error = Sandbox::builder()
        .data_file(&nowhere)
        .bind()
        .await
        .err()
        .expect("no folder");
    assert!(error.to_string().contains("nowhere/data.json: "), "{error}");
}

#[tokio::test]
async fn a_reset_empties_a_world_and_tells_the_hook() {
    let (hook, calls) = calls();
    let sandbox = Running::with(|builder| builder.on_reset(hook)).await;
    sandbox.add_users(&["alice"]).await;
    sandbox
        .ok_in("shop", "op=useradd&addr=bob&appid=demo")
        .await;
    sandbox
        .put(
            "/sandbox/faults",
            &json!([{ "error": "X", "world": "shop", "op": "userset" }]),
        )
        .await;
    sandbox
        .post(
            "/sandbox/clock",
            &json!({ "advance": "1h", "state": "frozen" }),
        )
        .await;

    sandbox.delete("/sandbox/state").await;
    assert_eq!(calls.take(), ["default"]);
    let nothing = json!({ "users": [], "groups": [], "messages": [] });
    assert_eq!(sandbox.get("/sandbox/state").await, nothing);
    assert_eq!(sandbox.get("/sandbox/requests").await["total"], 0);
    assert_eq!(sandbox.get("/sandbox/clock").await["state"], "running");
    assert_eq!(sandbox.get("/sandbox/users?world=shop").await["total"], 1);
    assert_eq!(
        sandbox
            .get("/sandbox/faults")
            .await
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    sandbox.delete("/sandbox/state?world=*").await;
    assert_eq!(calls.take(), ["default", "shop"]);
    assert_eq!(sandbox.get("/sandbox/faults").await, json!([]));
    let snapshot = sandbox.get("/sandbox/snapshot?world=shop").await;
    sandbox.put("/sandbox/snapshot?world=shop", &snapshot).await;
    assert_eq!(calls.take(), ["shop"]);
    sandbox.delete("/sandbox/worlds/shop").await;
    assert_eq!(calls.take(), ["shop"]);
    sandbox.put("/sandbox/snapshot", &snapshot).await;
    assert_eq!(calls.take(), ["default", "shop"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_snapshot_may_be_larger_than_any_other_body() {
    let sandbox = Running::start().await;
    let message = json!({ "from": "alice", "to": ["alice"], "msg": "x".repeat(1024 * 1024) });
    let world = json!({ "users": [{ "address": "alice" }], "messages": vec![message; 12] });
    let snapshot = json!({ "version": 1, "worlds": { "default": world } });
    sandbox.put("/sandbox/snapshot", &snapshot).await;
    assert_eq!(
        sandbox.get("/sandbox/messages?page_size=1").await["total"],
        12
    );
    let taken = sandbox.get("/sandbox/snapshot").await;
    sandbox.put("/sandbox/snapshot", &taken).await;
    let small = sandbox
        .send(Method::PUT, "/sandbox/faults", &snapshot)
        .await;
    assert_eq!(small.status(), StatusCode::PAYLOAD_TOO_LARGE);
    sandbox.stop().await;
}
