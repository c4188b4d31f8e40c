//! Stock clients through each door: each sends, fails, and reads details. `grpcio` and others
//! are in `polyglot`, and a browser with the examples.

use std::{
    path::Path,
    process::{Command, Output},
};

use mesibo_grpc::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use serde_json::{Value, json};

use crate::support::{Process, sandbox_state, say, skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a program prints, if it is there.
fn run(command: &mut Command) -> Option<Output> {
    let Ok(output) = command.output() else {
        skip(&command.get_program().to_string_lossy());
        return None;
    };
    Some(output)
}

/// What `curl` prints as the body and the HTTP status of a call.
fn curl(address: &str, path: &str, options: &[&str], body: &str) -> Option<(Value, String)> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
        .args(["--header", "content-type: application/json", "--data", body])
        .args(options)
        .arg(format!("http://{address}/{path}"));
    let output = run(&mut curl)?;
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| panic!("{output:?}"));
    Some((body, status.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_sends_fails_and_reads_details_over_both_versions_of_http() {
    let sandbox = Process::sandbox();
    let address = &sandbox.address;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for compressed in [&[version][..], &[version, "--compressed"]] {
            let list = "mesibo.v1.UserService/ListUsers";
            let Some((users, status)) = curl(address, list, compressed, "{}") else {
                return;
            };
            assert_eq!(status, "200", "{users}");
        }
        let create = "mesibo.v1.UserService/CreateUser";
        let body = format!(r#"{{"address": "alice{version}", "appId": "demo"}}"#);
        let (user, status) = curl(address, create, &[version], &body).unwrap();
        assert_eq!(status, "200", "{user}");
        assert!(
            user["uid"].is_string() && user["accessToken"].is_string(),
            "{user}"
        );
        let (error, status) = curl(address, create, &[version], "{}").unwrap();
        assert_eq!(status, "400", "{error}");
        let details = error["details"].as_array().unwrap();
        let fields: Vec<_> = details
            .iter()
            .filter_map(|it| it["debug"]["fieldViolations"].as_array())
            .flatten()
            .map(|it| it["field"].clone())
            .collect();
        assert_eq!(fields, [json!("address"), json!("app_id")]);
    }
    let state = sandbox_state(sandbox.upstream()).await;
    assert_eq!(state["users"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_of_the_readme_works_as_written() {
    let sandbox = Process::sandbox();
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let calls: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(calls.len(), 3);
    for call in calls {
        let call = call.replace("127.0.0.1:50051", &sandbox.address);
        let Some(output) = run(Command::new("sh").args(["-c", &call])) else {
            return;
        };
        if output.status.code() == Some(127) {
            return skip("curl");
        }
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{call}: {output:?}"));
        assert!(answer["code"].is_null(), "{call}: {answer}");
    }
    let state = sandbox_state(sandbox.upstream()).await;
    assert_eq!(state["messages"][0]["msg"], "Hello");
}

#[test]
fn buf_sends_fails_and_reads_details_by_each_protocol() {
    let sandbox = Process::sandbox();
    for (protocol, options) in [
        ("connect", &[][..]),
        ("connect", &["--http2-prior-knowledge"]),
        ("grpcweb", &[]),
        ("grpcweb", &["--http2-prior-knowledge"]),
        ("grpc", &["--http2-prior-knowledge"]),
    ] {
        let call = |body: &str| {
            let mut buf = Command::new("buf");
            buf.args(["curl", "--protocol", protocol, "--schema"])
                .arg(Path::new(ROOT).join("proto"))
                .args(options)
                .args(["--data", body])
                .arg(format!(
                    "http://{}/mesibo.v1.UserService/CreateUser",
                    sandbox.address
                ));
            run(&mut buf)
        };
        let address = format!("alice {protocol} {}", options.len());
        let Some(output) = call(&format!(r#"{{"address": "{address}", "app_id": "demo"}}"#)) else {
            return;
        };
        assert!(output.status.success(), "{protocol}: {output:?}");
        let user: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(user["uid"].is_string(), "{user}");
        let output = call("{}").unwrap();
        assert!(!output.status.success());
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in [
            "invalid_argument",
            "google.rpc.BadRequest",
            "address: must not be empty",
        ] {
            assert!(printed.contains(part), "{protocol}: {printed}");
        }
    }
}

#[test]
fn connects_own_clients_send_fail_and_read_details_through_each_door() {
    let folder = Path::new(ROOT).join("tests/it/doors");
    if !folder.join("node_modules").exists() {
        return skip("Connect's clients: npm ci --prefix tests/it/doors");
    }
    let mut set = FileDescriptorSet::default();
    for descriptors in [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_types::pb::FILE_DESCRIPTOR_SET,
    ] {
        for file in FileDescriptorSet::decode(descriptors).unwrap().file {
            if set.file.iter().all(|known| known.name() != file.name()) {
                set.file.push(file);
            }
        }
    }
    let descriptors = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(descriptors.path(), set.encode_to_vec()).unwrap();
    let sandbox = Process::sandbox();
    let mut node = Command::new("node");
    node.arg(folder.join("clients.mjs"))
        .arg(&sandbox.address)
        .arg(descriptors.path());
    let Some(output) = run(&mut node) else {
        return;
    };
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    say(&format!("\n{printed}"));
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 12, "{output:?}");
    for line in lines {
        let health = if line.starts_with("connect") {
            ""
        } else {
            " 1"
        };
        let expected = format!(": bigint InvalidArgument uid PermissionDenied{health}");
        assert!(line.ends_with(&expected), "{line}");
    }
}
