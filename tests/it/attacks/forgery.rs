//! Texts of remote parties in the log: they forge no field, no line and no key.

use std::{collections::BTreeMap, fmt};

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        DeleteUserRequest, ListUsersRequest, SendMessageRequest,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        user_service_client::UserServiceClient,
    },
};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use tonic::transport::Channel;

use crate::support::{
    Answer, Backend, Process, TOKEN,
    facade::{Bearer, soon},
    process::{self, command},
    settings_file,
};

const KEY: &str = "mgk_s3ntinel";

/// What each answer of the backend tries to put into the log.
const FORGED: &str = "X caller=\"admin\" outcome=\"done\"\u{2028}\u{202e}\u{85}\u{2066}\u{200f}\n\
    2026-01-01T00:00:00.000000Z  INFO mesibo_grpc::audit: audit caller=\"admin\"";

/// A JSON object in which every key is there once.
#[derive(Debug)]
struct Line(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut line = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if line.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{key} is there twice")));
                    }
                }
                Ok(Line(line))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

/// A backend that answers with texts that are made to be logged.
fn forger() -> Backend {
    let json = Value::from(FORGED).to_string();
    Backend::scripted(move |request| match request.get("op").unwrap() {
        "userdel" => Answer::ok(format!(r#"{{"result": false, "error": {json}}}"#)),
        "message" => Answer::ok(FORGED),
        _ => Answer::SendAndClose(format!("HTTP/1.1 200 {FORGED}\r\nx: {FORGED}").into()),
    })
}

/// Calls that write and read, and one without a key.
async fn call_all(channel: Channel) {
    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
    users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await
        .unwrap_err();
    users
        .list_users(ListUsersRequest::default())
        .await
        .unwrap_err();
    let mut messages = MessageServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
    let request = SendMessageRequest {
        from_address: "x\" caller=\"admin\"\u{202e}\u{2028}x".into(),
        recipient: Some(Recipient::ToAddress("bob".into())),
        message: "hi".into(),
        ..Default::default()
    };
    messages.send_message(request).await.unwrap_err();
    let mut nobody = UserServiceClient::new(channel);
    nobody
        .list_users(ListUsersRequest::default())
        .await
        .unwrap_err();
}

fn settings() -> tempfile::NamedTempFile {
    settings_file(&format!(
        "log = \"trace\"\n\
         [callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_mesibo_forges_no_field_and_no_line() {
    let backend = forger();
    let settings = settings();
    let config = settings.path().to_str().unwrap();
    let server = Process::serve(&backend.url(), &["--config", config]);
    call_all(server.channel().await).await;
    server.signal("TERM");
    let (_, _, log) = server.wait();
    assert!(
        log.contains(r#"caller=\\\"admin\\\""#),
        "the text is in the log"
    );
    for line in log.lines() {
        let is_line = line.starts_with("20") && line.contains("Z ");
        assert!(
            is_line && !line.starts_with("2026-01-01T00:00:00"),
            "{line}"
        );
        assert!(!line.contains(" caller=\"admin\""), "{line}");
    }
    for c in "\u{2028}\u{202e}\u{85}\u{2066}\u{200f}".chars() {
        assert!(!log.contains(c), "{:?} is in the log", c.escape_unicode());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_line_has_every_key_once_and_the_id_of_its_call() {
    let backend = forger();
    let settings = settings();
    let mut command = command(&["serve", "--log-format", "json", "--listen", "127.0.0.1:0"]);
    command.args(["--upstream-url", &backend.url(), "--lame-duck", "0s"]);
    command.arg("--config").arg(settings.path());
    let mut child = command
        .env("MESIBO_APP_TOKEN", TOKEN)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(stderr).map(|line| {
        let line = line.unwrap();
        let parsed = serde_json::from_str::<Line>(&line);
        parsed.unwrap_or_else(|error| panic!("{error}: {line}")).0
    });
    let serving = lines
        .find(|line| line.get("message").is_some_and(|it| it == "serving gRPC"))
        .unwrap();
    assert_eq!(serving["tls"], "none");
    assert_eq!(serving["callers"], 1);
    assert_eq!(serving["apps"], 1);
    assert_eq!(serving["store"], "memory");
    let address = serving["listen"].as_str().unwrap().to_owned();
    let reader = std::thread::spawn(move || lines.collect::<Vec<_>>());
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    call_all(endpoint.unwrap().connect().await.unwrap()).await;
    process::signal(&child, "TERM");
    let lines = soon(tokio::task::spawn_blocking(move || reader.join().unwrap()))
        .await
        .unwrap();
    child.wait().unwrap();

    let audit: Vec<_> = lines
        .iter()
        .filter(|line| line["target"] == "mesibo_grpc::audit")
        .collect();
    assert_eq!(audit.len(), 3, "{audit:#?}");
    let deleted = audit
        .iter()
        .find(|line| line.get("subject") == Some(&"uid=7".into()))
        .unwrap();
    assert_eq!(deleted["caller"], "orders");
    let id = deleted["request_id"].as_str().unwrap();
    let is = |line: &BTreeMap<_, _>, key, value: &str| line.get(key).is_some_and(|it| it == value);
    let calls = lines
        .iter()
        .filter(|line| is(line, "message", "call") && is(line, "request_id", id));
    assert_eq!(calls.count(), 1, "a write has one line besides");
    assert!(lines.iter().all(|line| !line.contains_key("span")));
}

#[test]
fn what_ends_a_start_is_a_line_of_the_logs_format() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let settings = settings_file("log-format = \"json\"\n");
    let config = settings.path().to_str().unwrap();
    for (args, errors, exit) in [
        // A setting that is wrong by itself, two, and one that cannot be used now.
        (&["--listen", "nowhere"][..], &["listen: expected"][..], 2),
        (
            &["--listen", "nowhere", "--max-deadline", "0s"],
            &["max-deadline: expected", "listen: expected"],
            2,
        ),
        (&["--listen", taken.as_str()], &["listen: "], 1),
    ] {
        let output = command(&["serve", "--config", config])
            .args(args)
            .env("MESIBO_APP_TOKEN", TOKEN)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(exit));
        let log = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = log
            .lines()
            .map(|line| serde_json::from_str::<Line>(line).unwrap().0)
            .filter(|line| line["level"] == "ERROR")
            .collect();
        assert_eq!(lines.len(), errors.len(), "{log}");
        for error in errors {
            let is_told =
                |line: &BTreeMap<String, Value>| line["error"].as_str().unwrap().starts_with(error);
            assert!(lines.iter().any(is_told), "{log} lacks {error}");
        }
    }
}
