//! The command `call`, as a process in front of running servers.

mod peers;

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use mesibo_grpc::access::key::KeyHash;
use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Process, assert_no_secret, process::command, settings_file, write_private,
};

/// What a call of the process `address` printed: to standard output, if it went well, or
/// else its exit status and what it said.
fn call(address: &str, args: &[&str]) -> Result<Value, (i32, String)> {
    call_with(address, args, &[], "")
}

/// The same, with variables of the environment and standard input.
fn call_with(
    address: &str,
    args: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Result<Value, (i32, String)> {
    let mut call = command(&["call"]);
    call.args(["--address", &format!("http://{address}")])
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = call.spawn().unwrap();
    // Whoever makes no call does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    told(&child.wait_with_output().unwrap())
}

fn told(output: &Output) -> Result<Value, (i32, String)> {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_no_secret("call", &stderr);
    match output.status.code().unwrap() {
        0 => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        status => {
            assert!(output.stdout.is_empty(), "{output:?}");
            assert!(stderr.starts_with("mesibo-grpc: "), "{stderr}");
            Err((status, stderr))
        }
    }
}

/// Asserts a failure with an exit status, whose explanation has these texts.
fn assert_fails(told: Result<Value, (i32, String)>, status: i32, says: &[&str]) {
    let (seen, text) = told.unwrap_err();
    assert_eq!(seen, status, "{text}");
    for say in says {
        assert!(text.contains(say), "{text} lacks {say}");
    }
}

#[test]
fn a_call_is_made_by_short_or_full_names_and_prints_protobufs_json() {
    let sandbox = Process::sandbox();
    let call = |args: &[&str]| call(&sandbox.address, args).unwrap();
    for (rpc, request) in [
        (
            "CreateUser",
            r#"{"address": "alice", "appId": "demo", "tokenExpiry": "3600s"}"#,
        ),
        (
            "/mesibo.v1.UserService/CreateUser",
            r#"{"address": "bob", "app_id": "demo"}"#,
        ),
    ] {
        let user = call(&[rpc, request]);
        // 64 bits are a text.
        assert!(user["uid"].as_str().unwrap().parse::<u64>().unwrap() > 0);
        assert_ne!(user["accessToken"], "");
    }
    let group = call(&["CreateGroup", r#"{"name": "team"}"#]);
    let edit = json!({"gid": group["gid"], "members": ["bob"], "action": "ACTION_ADD"});
    assert_eq!(call(&["EditGroupMembers", &edit.to_string()]), json!({}));
    let listed = call(&["mesibo.v1.UserService.ListUsers"]);
    let users = listed["users"].as_array().unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(users[0]["address"], "alice");

    let message = r#"{"fromAddress": "alice", "toAddress": "bob", "message": "Grüße"}"#;
    let sent = call_with(&sandbox.address, &["SendMessage", "-"], &[], message).unwrap();
    assert!(sent["messageId"].is_string());
}

#[test]
fn the_rpcs_are_listed_and_described_with_the_comments_of_the_contract() {
    let show = |args: &[&str]| {
        let output = command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let list = show(&["call", "--list"]);
    assert!(list.contains("mesibo.v1.UserService\n"));
    let send = "  SendMessage          Sends a message from a user to users or to a group\n";
    assert!(list.contains(send), "{list}");

    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names: Vec<_> = names.map(|line| line.split(' ').next().unwrap()).collect();
    assert!(names.len() >= 12);
    for name in names {
        let description = show(&["call", "--describe", name]);
        assert!(description.contains(&format!("/{name}\n")), "{description}");
        let stream = ["SendMessages", "CreateUsers"].contains(&name);
        let of = if stream { "stream of " } else { "" };
        let request = format!("\nRequest: {of}mesibo.v1.{name}Request\n");
        assert!(description.contains(&request), "{description}");
        assert!(description.contains("\nSafe to repeat: "), "{description}");
    }
    let description = show(&["call", "SendMessage", "--describe"]);
    for part in [
        "\n  fromAddress (text)\n      Address of the sender, which is a user of the application.",
        "\n  recipient: one of\n      Who receives the message.",
        "\n    gid (number, or text of digits)\n",
        "\n  expiry (duration such as \"90s\")\n",
        "\nSafe to repeat: with a requestId",
    ] {
        assert!(description.contains(part), "{description} lacks {part}");
    }
    let description = show(&["call", "EditGroupMembers", "--describe"]);
    assert!(description.contains("\n      ACTION_REMOVE\n          Removes the members."));
    assert!(description.contains("\n      canPublish (true or false)\n"));
    let completions = show(&["completions", "bash"]);
    assert!(completions.contains("SendMessage"), "{completions}");
}

#[test]
fn a_broken_rule_is_told_by_its_field_and_a_refusal_by_its_reason() {
    let sandbox = Process::sandbox();
    let call = |args: &[&str]| call(&sandbox.address, args);
    let wrong = r#"{"app_id": "demo", "token_expiry": "90s"}"#;
    assert_fails(
        call(&["CreateUser", wrong]),
        64 + 3,
        &[
            "CreateUser: INVALID_ARGUMENT: mesibo-grpc answers, INVALID_REQUEST: ",
            "\n  address: must not be empty (REQUIRED)\n",
            "\n  token_expiry: must be positive and whole minutes, at most 315576000000 s \
             (NOT_WHOLE)\n",
            "\nWhat to do: correct these fields.\n",
            "\nSafe to repeat: yes, nothing was carried out.\n",
            "\nFor the log: request id ",
        ],
    );
    assert_fails(
        call(&["DeleteUser", r#"{"uid": 7}"#]),
        64 + 5,
        &[
            "DeleteUser: NOT_FOUND: Mesibo refuses it, NOUSER: ",
            "\nSafe to repeat: yes, nothing was carried out.\n",
            ", op userdel",
        ],
    );
}

#[test]
fn a_request_that_does_not_fit_the_contract_is_refused_before_a_call() {
    let nobody = "127.0.0.1:1";
    for (args, says) in [
        (
            &["SendMessage", r#"{"form_address": "a"}"#][..],
            "JSON: unrecognized field name 'form_address' at line 1",
        ),
        (&["SendMessage", "{"], "JSON: EOF"),
        (
            &["SendMessage", "{} {}"],
            "JSON: expected one request, and got 2",
        ),
        (
            &["SendMessage", "-"],
            "JSON: expected one request, and got 0",
        ),
        (
            &["CreateUser", r#"{"tokenExpiry": 5}"#],
            "JSON: invalid type",
        ),
        (&["SendMesage"], "a similar value exists: 'SendMessage'"),
        (&[], "RPC"),
        (
            &["ListUsers", "--deadline", "5"],
            "deadline: expected a time",
        ),
        (
            &["ListUsers", "--app", "a b"],
            "app: expected the name of an app",
        ),
        (&["ListUsers", "--key", "k"], "unexpected argument '--key'"),
    ] {
        assert_fails(call(nobody, args), 2, &[says]);
    }
    let both = [("MESIBO_GRPC_KEY", "k")];
    let file = settings_file("k");
    let args = ["ListUsers", "--key-file", file.path().to_str().unwrap()];
    let told = call_with(nobody, &args, &both, "");
    assert_fails(
        told,
        2,
        &["key: expected one of the environment variable MESIBO_GRPC_KEY"],
    );
}

#[test]
fn an_unknown_outcome_says_whether_the_call_may_be_repeated() {
    let lost = Backend::always(Answer::SendAndClose(Vec::new()));
    let server = Process::serve(&lost.url(), &[]);
    let call = |args: &[&str]| call(&server.address, args);
    let message = r#""from_address": "a", "to_address": "b", "message": "m""#;
    let id = r#""request_id": "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e""#;
    for (rpc, request, status, says) in [
        (
            "SendMessage",
            format!("{{{message}}}"),
            64 + 2,
            "no, it may have been carried out, and a repeat would do it once more: find out \
             first, and give a requestId next time",
        ),
        (
            "SendMessage",
            format!("{{{message}, {id}}}"),
            64 + 2,
            "yes, with the same requestId",
        ),
        (
            "CreateUser",
            r#"{"address": "a", "app_id": "b"}"#.into(),
            64 + 2,
            "no, it may have been carried out, and a repeat would do it once more: find out first.",
        ),
        (
            "DeleteUser",
            r#"{"uid": 7}"#.into(),
            64 + 14,
            "yes; it may have been carried out, and a second call changes nothing more",
        ),
        ("ListUsers", "{}".into(), 64 + 14, "yes, it changes nothing"),
    ] {
        let says = format!("\nSafe to repeat: {says}");
        assert_fails(call(&[rpc, &request]), status, &[&says, "CONNECTION_LOST"]);
    }
}

#[test]
fn a_call_without_an_answer_in_time_or_without_a_server_is_explained_as_well() {
    let silent = Backend::always(Answer::Hang);
    let server = Process::serve(&silent.url(), &[]);
    let delete = ["DeleteUser", r#"{"uid": 7}"#, "--deadline", "300ms"];
    assert_fails(
        call(&server.address, &delete),
        64 + 4,
        &[
            "DEADLINE_EXCEEDED",
            "\nSafe to repeat: yes; it may have been carried out",
        ],
    );
    let busy = Backend::always(Answer::http(503, &[("retry-after", "7")], ""));
    let server = Process::serve(&busy.url(), &[]);
    assert_fails(
        call(&server.address, &["DeleteUser", r#"{"uid": 7}"#]),
        64 + 14,
        &[
            "\nWait before the next attempt: 7s.\n",
            "yes, nothing was carried out",
        ],
    );
    assert_fails(
        call("127.0.0.1:1", &["DeleteUser", r#"{"uid": 7}"#]),
        64 + 14,
        &[
            "it refuses connections; is the server running?",
            "yes, nothing was carried out",
        ],
    );
}

#[test]
fn the_key_and_the_app_come_from_flags_files_and_the_environment() {
    let callers = settings_file(&format!(
        "[apps.one]\n[apps.two]\n[apps.three]\n[callers.shop]\nkeys = [\"{}\"]\n\
         may-call = [\"*\"]\napps = [\"one\", \"two\", \"three\"]\n",
        KeyHash::of(b"mgk_s3ntinel")
    ));
    let path = callers.path().to_str().unwrap();
    let sandbox = Process::sandbox_with(&["--config", path, "--default-app", "one"]);
    let create = ["CreateUser", r#"{"address": "alice", "app_id": "demo"}"#];
    let says = [
        "UNAUTHENTICATED: mesibo-grpc answers, NO_CREDENTIALS",
        "\nWhat to do: give the caller's key, in the environment variable MESIBO_GRPC_KEY or \
         with --key-file.\n",
    ];
    assert_fails(call(&sandbox.address, &create), 64 + 16, &says);

    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    write_private(&key, "mgk_s3ntinel\n");
    let settings = settings_file(&format!("key-file = {key:?}\napp = \"two\""));
    let flags = ["--key-file", key.to_str().unwrap(), "--app", "one"];
    let file = ["--config", settings.path().to_str().unwrap()];
    let variables = [
        ("MESIBO_GRPC_KEY", "mgk_s3ntinel"),
        ("MESIBO_GRPC_APP", "three"),
    ];
    for (args, variables) in [(&flags[..], &[][..]), (&file, &[]), (&[], &variables)] {
        let call = |own: &[&str]| {
            let args = [own, args].concat();
            call_with(&sandbox.address, &args, variables, "").unwrap()
        };
        // Each app is a world of its own.
        assert_eq!(call(&["ListUsers"])["users"], json!([]));
        call(&create);
        assert_eq!(call(&["ListUsers"])["users"][0]["address"], "alice");
    }
}
