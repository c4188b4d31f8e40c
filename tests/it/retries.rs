//! Attempts: what is tried again, what never is, and how a status tells.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{
    errors::{KINDS, status_of},
    support::{Answer, Backend, Facade, Process, get},
};

/// Answers that change nothing, or may not have been carried out.
fn losses() -> [Answer; 5] {
    [
        Answer::http(429, &[], ""),
        Answer::http(502, &[], ""),
        Answer::http(503, &[], ""),
        Answer::http(504, &[], ""),
        Answer::SendAndClose(Vec::new()),
    ]
}

fn attempts(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().metadata["attempts"].clone()
}

/// A backend that gives an answer so many times, and then a list without users.
fn mended_after(count: usize, answer: Answer) -> Backend {
    let requests = AtomicUsize::new(0);
    Backend::scripted(move |_| {
        if requests.fetch_add(1, Ordering::Relaxed) < count {
            answer.clone()
        } else {
            Answer::ok(r#"{"result": true}"#)
        }
    })
}

#[tokio::test]
async fn a_read_is_tried_three_times() {
    for answer in losses() {
        let backend = mended_after(2, answer.clone());
        let facade = Facade::new(&backend.url());
        let request = ListUsersRequest::default();
        let listed = facade.users().list_users(request).await;
        assert!(listed.is_ok(), "{answer:?}: {listed:?}");
        assert_eq!(backend.requests().len(), 3);

        let backend = Backend::always(answer);
        let status = status_of("usersget", &Facade::new(&backend.url())).await;
        assert_eq!(attempts(&status), "3");
        assert_eq!(backend.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_write_that_was_sent_is_never_tried_again() {
    let [_, writes @ ..] = KINDS;
    for op in writes {
        for answer in losses() {
            let backend = Backend::always(answer);
            let status = status_of(op, &Facade::new(&backend.url())).await;
            assert_eq!(attempts(&status), "1", "{status:?}");
            backend.only_request();
        }
    }
}

#[tokio::test]
async fn what_mesibo_refuses_is_not_tried_again() {
    for answer in [
        Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        Answer::http(503, &[], r#"{"result": false, "error": "NOUSER"}"#),
        Answer::http(500, &[], ""),
        Answer::ok("<html>"),
    ] {
        let backend = Backend::always(answer);
        let status = status_of("usersget", &Facade::new(&backend.url())).await;
        assert_eq!(attempts(&status), "1");
        backend.only_request();
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_tried_three_times() {
    let nobody = Backend::always(Answer::Hang).url();
    for op in KINDS {
        let facade = Facade::new(&nobody);
        assert_eq!(attempts(&status_of(op, &facade).await), "3");
    }
}

#[tokio::test]
async fn a_retry_after_is_waited_for() {
    let backend = mended_after(1, Answer::http(503, &[("retry-after", "1")], ""));
    let facade = Facade::new(&backend.url());
    let start = Instant::now();
    let request = ListUsersRequest::default();
    facade.users().list_users(request).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_backend_that_fails_altogether_gets_a_quarter_more_requests_at_most() {
    const CALLS: usize = 2_000;
    let backend = Backend::always(Answer::http(503, &[], ""));
    let facade = Facade::new(&backend.url());
    for _ in 0..CALLS / 100 {
        let calls = (0..100).map(|_| {
            let mut users = facade.users();
            tokio::spawn(async move { users.list_users(ListUsersRequest::default()).await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap_err();
        }
    }
    let requests = backend.requests().len();
    assert!((CALLS..=CALLS * 5 / 4).contains(&requests), "{requests}");
}

#[tokio::test]
async fn attempts_and_outcomes_are_counted() {
    let backend = Backend::always(Answer::http(503, &[], ""));
    let process = Process::serve(&backend.url(), &["--metrics-listen", "127.0.0.1:0"]);
    let mut users = UserServiceClient::new(process.channel().await);
    let request = ListUsersRequest::default();
    users.list_users(request).await.unwrap_err();
    let metrics = get(process.logged_address("metrics="), "/metrics").await;
    for line in [
        "mesibo_grpc_upstream_attempts_total{app=\"default\",op=\"usersget\"} 3",
        "mesibo_grpc_upstream_calls_total{app=\"default\",op=\"usersget\",outcome=\"http_status\"} 1",
        "mesibo_grpc_upstream_calls_total{app=\"default\",op=\"usersget\",outcome=\"ok\"} 0",
        "mesibo_grpc_upstream_calls_total{app=\"default\",op=\"message\",outcome=\"overloaded\"} 0",
    ] {
        assert!(metrics.lines().any(|metric| metric == line), "{metrics}");
    }
}
