//! The store: calls with a `request_id` are made once, over crashes of the server and
//! failures of the database.

use std::{
    path::Path,
    process::Output,
    sync::{Mutex, mpsc},
    time::Duration,
};

use mesibo_grpc::proto::{
    SendMessageRequest, SendMessageResponse, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use rusqlite::Connection;
use tempfile::TempDir;
use tonic::{Code, Request, Response, Status};

use crate::support::{Answer, Backend, Facade, Process, facade::soon, process::command, told};

const ID: &str = "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e";

fn message(id: Option<&str>) -> SendMessageRequest {
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: "hi".into(),
        request_id: id.map(Into::into),
        ..Default::default()
    }
}

type Sent = Result<Response<SendMessageResponse>, Status>;

/// The message that was sent, and whether the answer is one that was given before.
fn sent(answer: &Sent) -> (u64, bool) {
    let answer = answer.as_ref().unwrap();
    let is_replayed = answer.metadata().contains_key("request-replayed");
    (answer.get_ref().message_id.unwrap(), is_replayed)
}

async fn send_by(server: &Process, timeout: Duration) -> Sent {
    let mut messages = MessageServiceClient::new(server.channel().await);
    let mut request = Request::new(message(Some(ID)));
    request.set_timeout(timeout);
    soon(messages.send_message(request)).await
}

fn location(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("store.db").display())
}

fn serve(backend: &Backend, store: &str) -> Process {
    let settings = ["--store", store, "--default-deadline", "1s"];
    Process::serve(&backend.url(), &settings)
}

/// A transaction of another process, while which nothing can be written.
pub fn locked(folder: &TempDir) -> Connection {
    let connection = Connection::open(folder.path().join("store.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[tokio::test]
async fn a_server_that_was_killed_gives_repeats_the_first_answer_after_its_restart() {
    let backend = Backend::always(Answer::ok(r#"{"result": true, "mid": 7}"#));
    let folder = TempDir::new().unwrap();
    let minute = Duration::from_mins(1);
    let server = serve(&backend, &location(&folder));
    assert_eq!(sent(&send_by(&server, minute).await), (7, false));
    // SIGKILL.
    drop(server);
    let server = serve(&backend, &location(&folder));
    assert_eq!(sent(&send_by(&server, minute).await), (7, true));
    backend.only_request();
}

#[tokio::test]
async fn a_call_whose_server_was_killed_while_it_was_sent_is_unknown_and_never_sent_again() {
    let backend = Backend::always(Answer::Hang);
    let folder = TempDir::new().unwrap();
    let server = serve(&backend, &location(&folder));
    tokio::select! {
        answer = send_by(&server, Duration::from_secs(1)) => panic!("{answer:?}"),
        () = backend.got(1) => {}
    }
    drop(server);

    let server = serve(&backend, &location(&folder));
    // The lease has not passed. Either end may see the deadline first.
    let early = send_by(&server, Duration::from_millis(300)).await;
    let early = early.unwrap_err().code();
    assert!(
        matches!(early, Code::DeadlineExceeded | Code::Cancelled),
        "{early}"
    );
    for _ in 0..2 {
        let status = send_by(&server, Duration::from_mins(1)).await.unwrap_err();
        let (code, domain, reason, metadata) = told(&status);
        assert_eq!(
            (code, &*domain, &*reason),
            (Code::Unknown, "mesibo-grpc", "ANSWER_LOST")
        );
        assert_eq!(metadata["outcome"], "unknown");
        let headers = status.metadata();
        assert_eq!(headers.get("request-replayed").unwrap(), "true");
        assert_eq!(headers.get("grpc-retry-pushback-ms").unwrap(), "-1");
    }
    backend.only_request();
}

#[tokio::test]
async fn while_the_store_does_not_answer_calls_with_an_id_are_refused_and_others_go_on() {
    let backend = Backend::always(Answer::ok(r#"{"result": true, "mid": 7}"#));
    let folder = TempDir::new().unwrap();
    let settings = [("store", &*location(&folder)), ("store-timeout", "300ms")];
    let facade = Facade::with(&backend.url(), &settings);
    let mut messages = facade.messages();

    let locked = locked(&folder);
    let status = soon(messages.send_message(message(Some(ID)))).await;
    let status = status.unwrap_err();
    let (code, _, reason, _) = told(&status);
    assert_eq!((code, &*reason), (Code::Unavailable, "STORE_UNAVAILABLE"));
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert!(details.retry_info().is_some());
    assert!(backend.requests().is_empty());
    let without_id = soon(messages.send_message(message(None))).await;
    assert_eq!(sent(&without_id), (7, false));

    locked.close().unwrap();
    let again = soon(messages.send_message(message(Some(ID)))).await;
    assert_eq!(sent(&again), (7, false));
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_while_a_call_is_sent_changes_no_answer_and_is_told_later() {
    let (answer, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok(r#"{"result": true, "mid": 7}"#)
    });
    let folder = TempDir::new().unwrap();
    let settings = [("store", &*location(&folder)), ("store-timeout", "300ms")];
    let facade = Facade::with(&backend.url(), &settings);
    let mut messages = facade.messages();
    let first = tokio::spawn(async move { messages.send_message(message(Some(ID))).await });
    soon(backend.got(1)).await;
    let locked = locked(&folder);
    answer.send(()).unwrap();
    assert_eq!(sent(&soon(first).await.unwrap()), (7, false));

    locked.close().unwrap();
    let again = soon(facade.messages().send_message(message(Some(ID)))).await;
    assert_eq!(sent(&again), (7, true));
    backend.only_request();
}

#[test]
fn migrate_makes_the_schema_and_says_so() {
    let folder = TempDir::new().unwrap();
    let store = location(&folder);
    for _ in 0..2 {
        let migrate = command(&["store", "migrate", "--store", &store]).output();
        let Output { status, stdout, .. } = migrate.unwrap();
        assert!(status.success());
        let stdout = String::from_utf8(stdout).unwrap();
        assert_eq!(stdout, format!("the schema of {store} is up to date\n"));
    }
    assert!(Path::new(store.trim_start_matches("sqlite:")).exists());
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start_and_says_why() {
    let missing = "sqlite:/nowhere/store.db";
    for (command_line, says) in [
        (&["store", "migrate"][..], "memory has no schema"),
        (
            &["store", "migrate", "--store", missing],
            "/nowhere/store.db",
        ),
        (
            &["store", "migrate", "--store", "postgres://u:hunter2@h/d"],
            "must not hold the password",
        ),
        (&["store", "migrate", "--store", "redis://h"], "sqlite:FILE"),
        (&["serve", "--store", missing], "store: "),
        (
            &["serve", "--request-id-retention", "1m"],
            "expected more than 67s",
        ),
        (
            &["serve", "--store-ca-file", "/etc/hosts"],
            "store-ca-file: expected only with store",
        ),
        (
            &["serve", "--store-max-connections", "3"],
            "expected a number from 4 to 1000",
        ),
    ] {
        let mut command = command(command_line);
        command.env("MESIBO_APP_TOKEN", "t0k");
        let Output { status, stderr, .. } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "{command_line:?}");
        assert!(stderr.contains(says), "{command_line:?}: {stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}
