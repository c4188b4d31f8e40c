//! A walk: every RPC by `buf curl`, against the sandbox as its
//! command starts it.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Process, skip};

/// Calls an RPC with `buf curl`, over reflection.
fn call(process: &Process, method: &str, request: &Value) -> Result<Value, Value> {
    let url = format!("http://{}/mesibo.v1.{method}", process.address);
    let output = Command::new("buf")
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
        .args(["--data", &request.to_string(), &url])
        .output()
        .unwrap();
    let read = |text: &[u8]| {
        serde_json::from_slice(text).unwrap_or_else(|_| panic!("{method} printed {output:?}"))
    };
    if output.status.success() {
        Ok(read(&output.stdout))
    } else {
        Err(read(&output.stderr))
    }
}

#[test]
fn the_walk_with_buf_curl() {
    if Command::new("buf").arg("--version").output().is_err() {
        return skip("buf, which the PyPI package buf-bin has");
    }
    let sandbox = Process::sandbox();
    let call = |method: &str, request: Value| {
        call(&sandbox, method, &request).unwrap_or_else(|error| panic!("{method}: {error}"))
    };

    let create = |address: &str| {
        let user = call(
            "UserService/CreateUser",
            json!({"address": address, "appId": "demo", "tokenExpiry": "3600s"}),
        );
        assert!(user["accessToken"].as_str().unwrap().len() > 20, "{user}");
        user["uid"].as_str().unwrap().to_owned()
    };
    let alice = create("alice@example.com");
    let bob = create("bob@example.com");
    assert_ne!(alice, bob);

    let group = call("GroupService/CreateGroup", json!({"name": "team"}));
    let gid = group["gid"].as_str().unwrap();
    let both = ["alice@example.com", "bob@example.com"];
    call(
        "GroupService/EditGroupMembers",
        json!({"gid": gid, "members": both, "action": "ACTION_ADD"}),
    );
    let members = call("GroupService/ListGroupMembers", json!({"gid": gid}));
    let members = members["members"].as_array().unwrap();
    let members: Vec<_> = members.iter().map(|member| &member["address"]).collect();
    assert_eq!(members, both);

    for recipient in [json!({"toAddress": both[1]}), json!({"gid": gid})] {
        let mut message = json!({"fromAddress": both[0], "message": "Hello"});
        message
            .as_object_mut()
            .unwrap()
            .extend(recipient.as_object().unwrap().clone());
        let sent = call("MessageService/SendMessage", message);
        assert!(sent["messageId"].is_string(), "{sent}");
    }

    call("UserService/EditUser", json!({"uid": alice, "flags": 1}));
    call(
        "GroupService/EditGroup",
        json!({"gid": gid, "name": "crew"}),
    );

    let list = || {
        let users = call(
            "UserService/ListUsers",
            json!({"addressPattern": "*@example.com"}),
        );
        users["users"].as_array().cloned().unwrap_or_default()
    };
    let users = list();
    assert_eq!(users.len(), 2);
    assert_eq!(users[0]["flags"], 1);
    assert!(users[1]["accessToken"].is_string());

    call(
        "UserService/RegenerateUserToken",
        json!({"uid": bob, "appId": "demo"}),
    );
    call(
        "UserService/DeleteUserToken",
        json!({"uid": bob, "appId": "demo"}),
    );
    let users = list();
    assert_eq!(users.len(), 2, "the user is still there");
    assert_eq!(users[1]["uid"], *bob);
    assert!(users[1]["accessToken"].is_null(), "{users:?}");

    call("UserService/DeleteUser", json!({"uid": alice}));
    call("UserService/DeleteUser", json!({"uid": bob}));
    assert!(list().is_empty());
    call("GroupService/DeleteGroup", json!({"gid": gid}));

    let gone = self::call(&sandbox, "GroupService/DeleteGroup", &json!({"gid": gid})).unwrap_err();
    assert_eq!(gone["code"], "not_found", "{gone}");
    assert_eq!(gone["details"][0]["type"], "google.rpc.ErrorInfo", "{gone}");
    assert!(gone["message"].as_str().unwrap().contains("NOGROUP"));

    sandbox.signal("TERM");
    let (status, printed, _) = sandbox.wait();
    assert!(status.success());
    let calls = printed.matches("curl -H 'content-type: application/json' -d");
    assert_eq!(calls.count(), 3, "{printed}");
}
