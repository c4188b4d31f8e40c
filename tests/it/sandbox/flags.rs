//! The flags of `sandbox` for its emulator, given to the real program.

use std::{fs, path::Path};

use mesibo_grpc::proto::{
    CreateUserRequest, ListUsersRequest, User, user_service_client::UserServiceClient,
};
use reqwest::{
    Method, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN},
};
use tonic::transport::Channel;

use crate::{
    program::assert_refused,
    support::{Emulator, Process, process::command, told},
};

fn emulator(sandbox: &Process) -> Emulator {
    Emulator::new(sandbox.upstream())
}

async fn users(sandbox: &Process) -> UserServiceClient<Channel> {
    UserServiceClient::new(sandbox.channel().await)
}

fn user(address: &str) -> CreateUserRequest {
    CreateUserRequest {
        address: address.into(),
        app_id: "demo".into(),
        ..Default::default()
    }
}

fn written(path: &Path, content: &str) -> String {
    fs::write(path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_that_is_set_is_the_only_one_and_the_start_says_it() {
    let sandbox = Process::sandbox_with(&["--emulator-token", "t0k"]);
    let emulator = emulator(&sandbox);
    users(&sandbox)
        .await
        .create_user(user("alice"))
        .await
        .unwrap();
    for (token, expected) in [
        ("t0k", "result"),
        ("t0k-shop", "result"),
        ("sandbox", "AUTHFAIL"),
        ("other", "AUTHFAIL"),
    ] {
        let reply = emulator.op(&format!("token={token}&op=usersget")).await;
        assert!(reply.to_string().contains(expected), "{token}: {reply}");
    }
    assert_eq!(emulator.users("default").await, ["alice"]);

    sandbox.signal("TERM");
    let (_, printed, _) = sandbox.wait();
    assert!(
        printed.contains("curl -d token=t0k -d op=usersget"),
        "{printed}"
    );
}

#[test]
fn the_help_and_the_start_say_the_token_that_a_client_needs() {
    for help in ["-h", "--help"] {
        let output = command(&["sandbox", help]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("emulator is \"sandbox\""), "{help}");
    }
    let sandbox = Process::sandbox();
    sandbox.signal("TERM");
    let (_, printed, _) = sandbox.wait();
    assert!(
        printed.contains("curl -d token=sandbox -d op=usersget"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_host_is_refused_unless_it_is_named() {
    let sandbox = Process::sandbox_with(&["--emulator-host", "sandbox, sandbox.test"]);
    let emulator = emulator(&sandbox);
    for (host, expected) in [
        ("localhost", StatusCode::OK),
        ("sandbox:50080", StatusCode::OK),
        ("sandbox.test", StatusCode::OK),
        ("attacker.test", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = emulator.request(Method::GET, "/sandbox/users");
        let response = request.header(HOST, host).send().await.unwrap();
        assert_eq!(response.status(), expected, "{host}");
    }
}

#[tokio::test]
async fn scripts_of_an_origin_are_kept_out_unless_it_is_named() {
    let sandbox = Process::sandbox_with(&["--emulator-cors", "http://localhost:5173"]);
    let emulator = emulator(&sandbox);
    for (origin, expected) in [
        ("http://localhost:5173", StatusCode::NO_CONTENT),
        ("http://localhost:5174", StatusCode::FORBIDDEN),
    ] {
        let request = emulator.request(Method::DELETE, "/sandbox/state");
        let response = request.header(ORIGIN, origin).send().await.unwrap();
        assert_eq!(response.status(), expected, "{origin}");
        let allowed = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let is_allowed = allowed.is_some_and(|allowed| allowed == origin);
        assert_eq!(is_allowed, expected.is_success(), "{origin}");
    }
}

#[tokio::test]
async fn the_rules_of_a_file_hit_the_first_calls() {
    let folder = tempfile::tempdir().unwrap();
    let rules = r#"[{ "op": "useradd", "error": "QUOTAEXCEEDED", "times": 1 }]"#;
    let file = written(&folder.path().join("faults.json"), rules);
    let sandbox = Process::sandbox_with(&["--faults", &file]);
    let mut users = users(&sandbox).await;
    let refused = users.create_user(user("alice")).await.unwrap_err();
    assert_eq!(told(&refused).2, "QUOTAEXCEEDED");
    users.create_user(user("alice")).await.unwrap();
}

#[tokio::test]
async fn a_seed_is_the_beginning_and_data_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let seed =
        r#"{ "version": 1, "worlds": { "default": { "users": [{ "address": "alice" }] } } }"#;
    let seed = written(&folder.path().join("seed.json"), seed);
    let data = folder.path().join("data.json");
    let args = ["--seed", &seed, "--data", data.to_str().unwrap()];
    let sandbox = Process::sandbox_with(&args);
    assert_eq!(emulator(&sandbox).users("default").await, ["alice"]);
    users(&sandbox)
        .await
        .create_user(user("bob"))
        .await
        .unwrap();
    // The end comes at once: what is not written yet is written then.
    sandbox.signal("TERM");
    let (status, ..) = sandbox.wait();
    assert!(status.success());

    let sandbox = Process::sandbox_with(&args);
    let mut users = users(&sandbox).await;
    let listed = users.list_users(ListUsersRequest::default()).await;
    let listed = listed.unwrap().into_inner().users;
    let addresses: Vec<_> = listed.iter().map(User::address).collect();
    assert_eq!(addresses, ["alice", "bob"]);
}

#[test]
fn a_wrong_file_stops_the_start_with_its_name_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, content, says) in [
        (
            "faults",
            "[\n{ \"op\": \"message\" }\n]",
            "rule 1: it needs an effect: delay, error",
        ),
        (
            "faults",
            "[\n{ \"opp\": \"message\" }\n]",
            "unknown field `opp`, expected one of",
        ),
        (
            "seed",
            "{ \"version\": 1,\n\"world\": {} }",
            "unknown field `world`, expected",
        ),
        ("data", "{ \"version\": 1,\n", "EOF while parsing"),
    ] {
        let file = written(&folder.path().join(format!("{flag}.json")), content);
        let output = command(&["sandbox", &format!("--{flag}"), &file]).output();
        let output = output.unwrap();
        assert_refused(&output, &format!("{flag} file {file}: {says}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            ["rule 1", "line 2", "line 3"]
                .iter()
                .any(|place| stderr.contains(place)),
            "{stderr}"
        );
    }
    let nowhere = folder.path().join("nowhere");
    for flag in ["faults", "seed"] {
        let flag = format!("--{flag}");
        let output = command(&["sandbox", &flag, nowhere.to_str().unwrap()]).output();
        assert_refused(&output.unwrap(), "nowhere: no such file");
    }
}

#[test]
fn a_wrong_value_stops_the_start_with_what_is_allowed() {
    for (flag, value, says) in [
        (
            "--emulator-token",
            "two words",
            "expected one token, without white space",
        ),
        (
            "--emulator-host",
            "sandbox:50080",
            "expected names without ports",
        ),
        (
            "--emulator-cors",
            "localhost",
            "expected origins, such as http://localhost:5173",
        ),
        ("--faults", "", "expected the path of a file"),
    ] {
        let output = command(&["sandbox", flag, value]).output().unwrap();
        assert_refused(&output, says);
    }
}
