//! Connections that close while they are idle.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mesibo_grpc::proto::{
    ListUsersRequest, message_service_client::MessageServiceClient,
    user_service_client::UserServiceClient,
};
use tonic_types::StatusExt as _;

use super::{TIMED, message};
use crate::support::{
    Backend, Process,
    backend::{ANY_PORT, Accept, Answer, Recorded},
    say,
};

/// A backend that closes connections at random moments between requests.
fn closing_while_idle(protocol: &str) -> Backend {
    let random = Mutex::new(fastrand::Rng::with_seed(7));
    let script = move |_: &Recorded| {
        let idle = Duration::from_micros(random.lock().unwrap().u64(..500_000));
        let bytes = "HTTP/1.1 200 .\r\ncontent-length: 16\r\n\r\n{\"result\": true}";
        Answer::SendAndCloseIdle(bytes.into(), idle)
    };
    match protocol {
        "http2" => Backend::faulty_http2(ANY_PORT, script, || Accept::Serve),
        _ => Backend::scripted(script),
    }
}

/// Makes 10,000 calls, from callers who pause in between for as long as connections
/// may be idle.
async fn ten_thousand<F: Future<Output = ()> + Send>(
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let callers = (0..100).map(|caller| {
        let call = call.clone();
        tokio::spawn(async move {
            for number in 0..100 {
                call(caller * 100 + number).await;
                let pause = Duration::from_micros(fastrand::u64(..50_000));
                tokio::time::sleep(pause).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

async fn fail_no_read(protocol: &str) {
    let _timed = TIMED.lock().await;
    let backend = closing_while_idle(protocol);
    let process = Process::serve(&backend.url(), &["--upstream-protocol", protocol]);
    let users = UserServiceClient::new(process.channel().await);
    ten_thousand(move |_| {
        let mut users = users.clone();
        async move {
            users.list_users(ListUsersRequest::default()).await.unwrap();
        }
    })
    .await;
    assert!(backend.requests().len() >= 10_000);
}

async fn send_no_message_twice_and_fail_few(protocol: &str, few: usize) {
    let _timed = TIMED.lock().await;
    let backend = closing_while_idle(protocol);
    let process = Process::serve(&backend.url(), &["--upstream-protocol", protocol]);
    let messages = MessageServiceClient::new(process.channel().await);
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    ten_thousand(move |number| {
        let mut messages = messages.clone();
        let failed = Arc::clone(&count);
        async move {
            if let Err(status) = messages.send_message(message(number)).await {
                failed.fetch_add(1, Ordering::Relaxed);
                let details = status.get_error_details();
                let info = details.error_info().unwrap();
                assert_eq!(info.metadata["outcome"], "unknown", "{status:?}");
            }
        }
    })
    .await;
    let requests = backend.requests();
    let sent: HashSet<_> = requests.iter().map(|request| request.get("msg")).collect();
    assert_eq!(sent.len(), requests.len(), "no message is sent twice");
    let failed = failed.load(Ordering::Relaxed);
    say(&format!("{failed} of 10,000 messages raced with a close\n"));
    assert!(failed <= few, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_close_while_idle_fail_no_read() {
    fail_no_read("http1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_connections_that_close_while_idle_fail_no_read() {
    fail_no_read("http2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_close_while_idle_send_no_message_twice_and_fail_few() {
    send_no_message_twice_and_fail_few("http1", 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_connections_that_close_while_idle_send_no_message_twice_and_fail_few() {
    // An end that crosses with messages crosses with several.
    send_no_message_twice_and_fail_few("http2", 40).await;
}
