//! Deadlines and cancellation.

use std::time::{Duration, Instant};

use mesibo_grpc::proto::{
    DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient,
};
use tokio::time::timeout;
use tonic::{Code, Request};

use crate::support::{
    Answer, Backend, Facade, Process,
    doors::{DOORS, Door, Through},
    facade::{Raw, raw, soon, with_timeout},
    telling, told,
};

const LONG: Duration = Duration::from_mins(10);

/// A client that leaves deadlines to the server.
fn users(facade: &Facade) -> UserServiceClient<Raw> {
    let (client, origin) = raw(facade.addr());
    UserServiceClient::with_origin(client, origin)
}

/// Such clients of facades with these settings, one for each door, with their backends.
fn at_every_door(
    answer: &Answer,
    settings: &[(&str, &str)],
) -> Vec<(Backend, Facade, UserServiceClient<Through>)> {
    let at_door = |door: Door| {
        let backend = Backend::always(answer.clone());
        let facade = Facade::with(&backend.url(), settings);
        let users = UserServiceClient::new(door.of(facade.addr()));
        (backend, facade, users)
    };
    DOORS.into_iter().map(at_door).collect()
}

/// Less than a write goes on without its caller.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_read_ends_at_its_own_deadline_and_so_does_its_upstream_request() {
    for (backend, _facade, mut users) in at_every_door(&Answer::Hang, &[]) {
        let request = with_timeout(ListUsersRequest::default(), "200m");
        let status = soon(users.list_users(request)).await.unwrap_err();
        assert_eq!(
            told(&status),
            telling(
                Code::DeadlineExceeded,
                "mesibo-grpc",
                "DEADLINE_EXCEEDED",
                &[("op", "usersget")]
            )
        );
        timeout(AT_ONCE, backend.hung_up(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_ends_at_its_own_deadline_and_its_upstream_request_a_while_later() {
    let mut doors = at_every_door(&Answer::Hang, &[]);
    for (_, _, users) in &mut doors {
        let request = with_timeout(
            DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
            "200m",
        );
        let status = soon(users.delete_user(request)).await.unwrap_err();
        assert_eq!(
            told(&status),
            telling(
                Code::DeadlineExceeded,
                "mesibo-grpc",
                "DEADLINE_EXCEEDED",
                &[("op", "userdel"), ("outcome", "unknown")]
            )
        );
    }
    for (backend, _facade, _users) in &doors {
        soon(backend.hung_up(1)).await;
    }
}

#[tokio::test]
async fn a_longer_deadline_than_the_longest_is_brought_forward() {
    let settings = [("default-deadline", "100ms"), ("max-deadline", "300ms")];
    for (_backend, _facade, mut users) in at_every_door(&Answer::Hang, &settings) {
        let request = with_timeout(ListUsersRequest::default(), "1H");
        let status = soon(users.list_users(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_sends_nothing() {
    for (backend, _facade, mut users) in at_every_door(&Answer::ok("OK"), &[]) {
        let request = with_timeout(
            DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
            "0n",
        );
        let status = soon(users.delete_user(request)).await.unwrap_err();
        assert_eq!(
            told(&status),
            telling(
                Code::DeadlineExceeded,
                "mesibo-grpc",
                "DEADLINE_EXCEEDED",
                &[("op", "userdel")]
            )
        );
        assert!(backend.requests().is_empty());
    }
}

#[tokio::test]
async fn a_timeout_that_cannot_be_read_is_refused() {
    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::new(&backend.url());
    for timeout in ["soon", "1", "123456789S", "-1S"] {
        let request = with_timeout(
            DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
            timeout,
        );
        let status = users(&facade).delete_user(request).await.unwrap_err();
        let expected = telling(Code::InvalidArgument, "mesibo-grpc", "INVALID_TIMEOUT", &[]);
        assert_eq!(told(&status), expected);
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_slow_answer_within_the_deadline_is_waited_for() {
    let backend = Backend::scripted(|_| {
        std::thread::sleep(Duration::from_millis(500));
        Answer::ok("OK")
    });
    let facade = Facade::new(&backend.url());
    let start = Instant::now();
    let request = DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    };
    soon(facade.users().delete_user(request)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn a_cancelled_call_ends_its_upstream_request_at_once() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::new(&backend.url());
    for count in 1..=3 {
        let mut users = facade.users();
        let mut request = Request::new(ListUsersRequest::default());
        request.set_timeout(LONG);
        let call = tokio::spawn(async move { users.list_users(request).await });
        soon(backend.got(count)).await;
        call.abort();
        timeout(AT_ONCE, backend.hung_up(count)).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_that_loses_its_connection_ends_its_upstream_request() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::new(&backend.url());
    let address = format!("http://{}", facade.addr());
    // A client on a runtime of its own, which dies with it, connection and all.
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(async move {
            let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
            let channel = channel.connect().await.unwrap();
            UserServiceClient::new(channel)
                .list_users(ListUsersRequest::default())
                .await
        });
        runtime
    });
    let runtime = client.join().unwrap();
    soon(backend.got(1)).await;
    runtime.shutdown_background();
    timeout(AT_ONCE, backend.hung_up(1)).await.unwrap();
}

#[tokio::test]
async fn a_write_whose_caller_went_away_goes_on_and_its_connection_is_used_again() {
    let (answer, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok("OK")
    });
    let server = Process::serve(&backend.url(), &[]);
    let mut users = UserServiceClient::new(server.channel().await);
    let request = DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    };
    let call = tokio::spawn({
        let mut users = users.clone();
        let request = request.clone();
        async move { users.delete_user(request).await }
    });
    soon(backend.got(1)).await;
    call.abort();
    // Time for that to arrive.
    tokio::time::sleep(Duration::from_secs(1)).await;
    answer.send(()).unwrap();
    soon(server.logged("outcome=\"done\"")).await;

    answer.send(()).unwrap();
    soon(users.delete_user(request)).await.unwrap();
    let connections: Vec<_> = backend.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn a_write_that_waits_for_its_turn_is_not_sent_once_its_caller_went_away() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::with(
        &backend.url(),
        &[("upstream-max-in-flight", "1"), ("upstream-max-wait", "1m")],
    );
    let delete = |uid| {
        let mut users = facade.users();
        tokio::spawn(async move {
            users
                .delete_user(DeleteUserRequest {
                    uid,
                    ..DeleteUserRequest::default()
                })
                .await
        })
    };
    let first = delete(1);
    soon(backend.got(1)).await;
    let second = delete(2);
    // Time for it to get in line.
    tokio::time::sleep(Duration::from_millis(200)).await;
    second.abort();
    first.abort();
    // What is over makes room.
    soon(backend.hung_up(1)).await;
    let third = delete(3);
    soon(backend.got(2)).await;
    assert_eq!(backend.requests()[1].get("uid"), Some("3"));
    third.abort();
}
