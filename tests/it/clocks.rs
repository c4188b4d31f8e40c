//! Servers whose clocks are an hour apart, over one database: its clock decides.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use mesibo_grpc::proto::{
    SendMessageRequest, SendMessageResponse, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use tempfile::TempDir;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::support::{
    Answer, Backend, Postgres, Process, TOKEN, facade::soon, password_file, process::command, skip,
    told,
};

const HOUR: Duration = Duration::from_hours(1);

/// How far the clock of a server is from the machine's.
#[derive(Clone, Copy)]
enum Clock {
    Right,
    /// By an hour.
    Ahead,
}

/// What starts servers over one database.
struct Servers {
    backend: Backend,
    postgres: Postgres,
    library: PathBuf,
    folder: TempDir,
}

impl Servers {
    /// `None` if a tool is not installed. The backend answers but to the message `hang`.
    fn new() -> Option<Self> {
        let Some(library) = library() else {
            skip("the Debian package faketime");
            return None;
        };
        let postgres = Postgres::start()?;
        let folder = TempDir::new().unwrap();
        let backend = Backend::scripted(|request| match request.get("msg") {
            Some("hang") => Answer::Hang,
            _ => Answer::ok(r#"{"result": true, "mid": 7}"#),
        });
        Some(Self {
            backend,
            postgres,
            library,
            folder,
        })
    }

    fn start(&self, clock: Clock) -> Process {
        let mut command = command(&["serve", "--upstream-url", &self.backend.url()]);
        command
            .args(["--store", &self.postgres.url("postgres")])
            .args(["--request-id-retention", "10m"])
            .args(["--store-password-file", &password_file(&self.folder)])
            .env("MESIBO_APP_TOKEN", TOKEN);
        if let Clock::Ahead = clock {
            command
                .env("LD_PRELOAD", &self.library)
                .env("FAKETIME", "+1h")
                // What a call may take is measured by it, on every machine alike.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Process::start(command)
    }
}

/// Where Debian has the library that changes a program's clock.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
}

async fn send(
    server: &Process,
    id: u128,
    text: &str,
    timeout: Duration,
) -> Result<Response<SendMessageResponse>, Status> {
    let mut messages = MessageServiceClient::new(server.channel().await);
    let mut request = Request::new(SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: text.into(),
        request_id: Some(Uuid::from_u128(id).to_string()),
        ..Default::default()
    });
    request.set_timeout(timeout);
    messages.send_message(request).await
}

/// By how much the clock of a server is ahead, as its log has it.
fn ahead(server: &Process) -> Duration {
    let log = server.log();
    let (logged, _) = log.split_once(' ').unwrap();
    let logged = humantime::parse_rfc3339(logged).unwrap();
    logged.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Whether the answer to a call with an id is one that was given before. A server that
/// has just started may not have a connection to the database yet.
async fn is_replayed(server: &Process, id: u128) -> bool {
    let answered = async {
        loop {
            match send(server, id, "hi", Duration::from_secs(10)).await {
                Ok(sent) => break sent,
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
            }
        }
    };
    let sent = soon(answered).await;
    assert_eq!(sent.get_ref().message_id, Some(7));
    sent.metadata().contains_key("request-replayed")
}

async fn assert_answered_again(first: &Process, other: &Process, id: u128) {
    assert!(!is_replayed(first, id).await, "{id}");
    assert!(is_replayed(other, id).await, "{id}");
    assert!(is_replayed(first, id).await, "{id}");
}

async fn assert_lost(server: &Process, id: u128) {
    for _ in 0..2 {
        let answer = send(server, id, "hang", Duration::from_mins(1)).await;
        let (code, _, reason, metadata) = told(&answer.unwrap_err());
        assert_eq!((code, &*reason), (Code::Unknown, "ANSWER_LOST"), "{id}");
        assert_eq!(metadata["outcome"], "unknown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_clocks_an_hour_apart_remember_the_same_and_for_as_long() {
    let Some(servers) = Servers::new() else {
        return;
    };
    let (right, late) = (servers.start(Clock::Right), servers.start(Clock::Ahead));
    assert!(ahead(&right) < HOUR / 2);
    assert!(ahead(&late) > HOUR / 2);
    assert_answered_again(&right, &late, 1).await;
    assert_answered_again(&late, &right, 2).await;

    // Each is killed while it waits for an answer.
    let (start, deadline) = (Instant::now(), Duration::from_secs(3));
    tokio::select! {
        answer = send(&right, 3, "hang", deadline) => panic!("{answer:?}"),
        answer = send(&late, 4, "hang", deadline) => panic!("{answer:?}"),
        () = servers.backend.got(4) => {}
    }
    drop((right, late));
    let (right, late) = (servers.start(Clock::Right), servers.start(Clock::Ahead));
    // Both have looked for ids that are older than the retention by now, and found none.
    assert_answered_again(&right, &late, 5).await;
    assert!(is_replayed(&late, 1).await);
    assert!(is_replayed(&right, 2).await);
    // Each waits for the outcome of the other until the lease has passed, and no longer.
    tokio::join!(assert_lost(&late, 3), assert_lost(&right, 4));
    let lease = deadline + mesibo::Client::MAX_DETACHED;
    assert!(start.elapsed() >= lease, "{:?}", start.elapsed());
    assert_eq!(servers.backend.requests().len(), 5);
}
