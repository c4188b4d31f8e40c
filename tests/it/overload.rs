//! What holds calls back: too many in flight, and a backend that does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::{
    errors::status_of,
    support::{Answer, Backend, Facade, Process, facade::soon, say, telling, told},
};

async fn list_users(facade: &Facade) -> Result<(), Status> {
    let request = ListUsersRequest::default();
    facade.users().list_users(request).await.map(drop)
}

/// Asserts a status that says when to come back, for nothing was sent.
fn assert_held_back(status: &Status, op: &str, reason: &str) {
    let expected = telling(Code::Unavailable, "mesibo-grpc", reason, &[("op", op)]);
    assert_eq!(told(status), expected);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["attempts"], "0");
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(delay > Duration::ZERO && delay <= Duration::from_secs(30));
}

#[tokio::test]
async fn calls_above_the_limit_are_turned_away_at_once() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::with(
        &backend.url(),
        &[
            ("upstream-max-in-flight", "2"),
            ("upstream-max-waiting", "1"),
            ("upstream-max-wait", "30s"),
        ],
    );
    let mut calls = Vec::new();
    for in_flight in 1..=2 {
        let mut users = facade.users();
        calls.push(tokio::spawn(async move {
            users.list_users(ListUsersRequest::default()).await
        }));
        soon(backend.got(in_flight)).await;
    }
    // Of two more, one waits. Which is theirs to know.
    let mut users = [facade.users(), facade.users()];
    let [first, second] = &mut users;
    let status = soon(async {
        tokio::select! {
            turned_away = first.list_users(ListUsersRequest::default()) => turned_away,
            turned_away = second.list_users(ListUsersRequest::default()) => turned_away,
        }
    })
    .await
    .unwrap_err();
    assert_held_back(&status, "usersget", "OVERLOADED");
    assert_eq!(backend.requests().len(), 2);

    // What is over makes room.
    calls.remove(0).abort();
    let mut users = facade.users();
    let waiting = tokio::spawn(async move { users.list_users(ListUsersRequest::default()).await });
    soon(backend.got(3)).await;
    waiting.abort();
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::with(
        &backend.url(),
        &[
            ("upstream-max-in-flight", "1"),
            ("upstream-max-wait", "100ms"),
        ],
    );
    let mut users = facade.users();
    let call = tokio::spawn(async move { users.list_users(ListUsersRequest::default()).await });
    soon(backend.got(1)).await;
    for op in ["usersget", "message"] {
        let status = soon(status_of(op, &facade)).await;
        assert_held_back(&status, op, "OVERLOADED");
    }
    call.abort();
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_left_alone_until_it_does() {
    let address = Backend::always(Answer::Hang).addr();
    let facade = Facade::new(&format!("http://{address}/api.php"));
    let held_back = loop {
        let status = soon(status_of("message", &facade)).await;
        if told(&status).2 != "UPSTREAM_UNREACHABLE" {
            break status;
        }
    };
    // It may open between two attempts of one call, of which the first was made.
    let held_back =
        match held_back.get_error_details().error_info().unwrap().metadata["attempts"].as_str() {
            "0" => held_back,
            _ => soon(status_of("message", &facade)).await,
        };
    assert_held_back(&held_back, "message", "UPSTREAM_DOWN");

    let health = HealthClient::new(facade.channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    assert_eq!(health.unwrap().get_ref().status(), ServingStatus::Serving);

    let backend = Backend::on(address, Answer::ok(r#"{"result": true}"#));
    while soon(list_users(&facade)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..20 {
        list_users(&facade).await.unwrap();
    }
    assert_eq!(backend.requests().len(), 21);
}

#[tokio::test]
async fn a_backend_that_says_no_is_not_held_to_be_gone() {
    let backend = Backend::scripted(|request| match request.get("op") {
        Some("message") => Answer::http(500, &[], ""),
        _ => Answer::ok(r#"{"result": false, "error": "AUTHFAIL"}"#),
    });
    let facade = Facade::new(&backend.url());
    for _ in 0..15 {
        assert_eq!(told(&status_of("userset", &facade).await).2, "AUTHFAIL");
        let status = status_of("message", &facade).await;
        assert_eq!(told(&status).2, "UPSTREAM_HTTP_STATUS");
    }
}

/// The backend takes 100 ms a request, and the facade lets 16 through at a time: so few
/// that no machine is too busy for them.
#[tokio::test(flavor = "multi_thread")]
async fn five_times_the_load_gets_nine_tenths_of_the_best_throughput_at_least() {
    let backend = Backend::slow(
        Duration::from_millis(100),
        Answer::ok(r#"{"result": true}"#),
    );
    let limits = ["--upstream-max-in-flight=16", "--upstream-max-waiting=16"];
    let process = Process::serve(&backend.url(), &limits);
    let users = UserServiceClient::new(process.channel().await);
    answered(&users, 80).await;
    let memory = process.memory();
    // Side by side, and again, for a machine may be busy now and then. What falls under
    // load falls each time.
    let mut holds = false;
    for _ in 0..12 {
        let best = answered(&users, 16).await;
        let overloaded = answered(&users, 80).await;
        say(&format!(
            "{best} calls answered in two seconds with 16 callers, {overloaded} with 80; \
             memory: {memory} KiB, then {} KiB\n",
            process.memory()
        ));
        holds = overloaded * 10 >= best * 9;
        if holds {
            break;
        }
    }
    assert!(holds, "it answers less under load");
    assert!(process.memory() < memory + 8 * 1024);
}

/// How many calls so many callers get answered in two seconds. A caller that is
/// turned away waits a little before it is back.
async fn answered(users: &UserServiceClient<Channel>, callers: usize) -> usize {
    let end = Instant::now() + Duration::from_secs(2);
    let answered = Arc::new(AtomicUsize::new(0));
    let callers = (0..callers).map(|_| {
        let mut users = users.clone();
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            while Instant::now() < end {
                match users.list_users(ListUsersRequest::default()).await {
                    Ok(_) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(status) => {
                        assert_eq!(told(&status).2, "OVERLOADED");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    answered.load(Ordering::Relaxed)
}
