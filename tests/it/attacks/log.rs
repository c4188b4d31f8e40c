//! A log that nobody reads, and calls that only fill it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Stdio},
    time::{Duration, Instant},
};

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient},
};
use tokio::task::JoinSet;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Answer, Backend, EVERYTHING, Process, TOKEN,
    facade::{Bearer, soon},
    get,
    process::{self, command},
    settings_file,
};

const KEY: &str = "mgk_s3ntinel";

/// `serve`, whose standard error nobody reads after its first lines.
struct Unread {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
    metrics: String,
}

impl Unread {
    fn start(upstream: &str, args: &[&str]) -> Self {
        let mut command = command(&["serve", "--upstream-url", upstream]);
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(["--lame-duck", "0s"])
            .args(args)
            .env("MESIBO_APP_TOKEN", TOKEN)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving gRPC") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it serves");
        }
        let field = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap();
            rest.split_whitespace().next().unwrap().to_owned()
        };
        Self {
            child,
            stderr,
            address: field("listen="),
            metrics: field("metrics="),
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address));
        endpoint.unwrap().connect().await.unwrap()
    }

    /// How many log lines it dropped.
    async fn dropped(&self) -> u64 {
        let text = get(self.metrics.parse().unwrap(), "/metrics").await;
        let (_, rest) = text
            .split_once("\nmesibo_grpc_log_lines_dropped_total ")
            .unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        process::signal(&self.child, name);
    }

    /// Waits for its end, and gives its exit status.
    async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes thousands of calls without a key, side by side.
async fn flood(channel: &Channel) {
    let mut calls = JoinSet::new();
    for _ in 0..63 {
        let mut users = UserServiceClient::new(channel.clone());
        calls.spawn(async move {
            for _ in 0..100 {
                let status = users.list_users(ListUsersRequest::default()).await;
                assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);
            }
        });
    }
    calls.join_all().await;
}

fn settings() -> tempfile::NamedTempFile {
    settings_file(&format!(
        "[callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = settings();
    let config = settings.path().to_str().unwrap();
    // Each call leaves hundreds of lines at this level.
    let mut server = Unread::start(&backend.url(), &["--config", config, "--log", "trace"]);
    let channel = server.channel().await;
    tokio::time::timeout(Duration::from_secs(100), async {
        while server.dropped().await == 0 {
            flood(&channel).await;
        }
    })
    .await
    .expect("the calls go on");

    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
    soon(users.list_users(ListUsersRequest::default()))
        .await
        .unwrap();
    // Its line in the audit is not read either.
    soon(users.delete_user(DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    }))
    .await
    .unwrap();
    let mut health = HealthClient::new(channel);
    soon(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_whatever_the_log_does() {
    let backend = Backend::always(Answer::Hang);
    let args = ["--log", "trace", "--shutdown-grace", "10m"];
    let mut server = Unread::start(&backend.url(), &args);
    let mut users = UserServiceClient::new(server.channel().await);
    let call = tokio::spawn({
        let mut users = users.clone();
        async move {
            users
                .delete_user(DeleteUserRequest {
                    uid: 7,
                    ..DeleteUserRequest::default()
                })
                .await
        }
    });
    soon(backend.got(1)).await;
    while server.dropped().await == 0 {
        users
            .delete_user(DeleteUserRequest {
                uid: 0,
                ..DeleteUserRequest::default()
            })
            .await
            .unwrap_err();
    }
    // The port closes with the first signal.
    let mut health = HealthClient::new(server.channel().await);
    server.signal("TERM");
    // Until the first signal has arrived.
    soon(async {
        while health
            .check(HealthCheckRequest::default())
            .await
            .is_ok_and(|health| health.into_inner().status == 1)
        {}
    })
    .await;
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(1));
    call.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_read_again_says_how_many_lines_it_lacks() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let mut server = Unread::start(&backend.url(), &["--log", "trace"]);
    let channel = server.channel().await;
    let mut users = UserServiceClient::new(channel);
    while server.dropped().await == 0 {
        users
            .delete_user(DeleteUserRequest {
                uid: 0,
                ..DeleteUserRequest::default()
            })
            .await
            .unwrap_err();
    }
    server.signal("TERM");
    let mut log = String::new();
    server.stderr.read_to_string(&mut log).unwrap();
    let (_, rest) = log
        .split_once("log lines were dropped: their reader is too slow lines=")
        .unwrap();
    let lines: u64 = rest.lines().next().unwrap().parse().unwrap();
    assert!(lines > 0);
    assert_eq!(server.ended().await, Some(0));
    assert!(log.contains(" stopped"), "the log goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_not_let_in_leave_a_line_a_second_and_none_is_uncounted() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = settings();
    let config = settings.path().to_str().unwrap();
    let server = Process::serve(&backend.url(), &["--config", config]);
    let before = Instant::now();
    flood(&server.channel().await).await;
    let seconds = before.elapsed().as_secs();
    server.signal("TERM");
    let (_, _, log) = server.wait();
    for room in ["mesibo_grpc::audit: ", "mesibo_grpc::server::"] {
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains(room) && line.contains("NO_CREDENTIALS"))
            .collect();
        // The first, one at the end of each second, and the last count.
        assert!(lines.len() as u64 <= seconds + 3, "{lines:#?}");
        let skipped = lines.iter().filter_map(|line| {
            let (_, rest) = line.split_once("skipped=")?;
            rest.split(' ').next().unwrap().parse::<usize>().ok()
        });
        let calls = lines.iter().filter(|line| line.contains("call{")).count();
        assert_eq!(calls + skipped.sum::<usize>(), 6_300, "{lines:#?}");
    }
}
