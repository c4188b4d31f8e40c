//! Deadlines and cancellation.

use std::time::{Duration, Instant};

use mesibo_grpc::proto::{
    DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient,
};
use tonic::{Code, Request};

use crate::support::{
    Answer, Backend, Facade,
    facade::{Raw, raw, soon, with_timeout},
    telling, told,
};

const LONG: Duration = Duration::from_mins(10);

/// A client that leaves deadlines to the server.
fn users(facade: &Facade) -> UserServiceClient<Raw> {
    let (client, origin) = raw(facade.addr());
    UserServiceClient::with_origin(client, origin)
}

#[tokio::test]
async fn a_call_ends_at_its_own_deadline_and_so_does_its_upstream_request() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::new(&backend.url());
    let request = with_timeout(DeleteUserRequest { uid: 7 }, "200m");
    let status = soon(users(&facade).delete_user(request)).await.unwrap_err();
    assert_eq!(
        told(&status),
        telling(
            Code::DeadlineExceeded,
            "mesibo-grpc",
            "DEADLINE_EXCEEDED",
            &[("op", "userdel"), ("outcome", "unknown")]
        )
    );
    soon(backend.hung_up(1)).await;
}

#[tokio::test]
async fn a_longer_deadline_than_the_longest_is_brought_forward() {
    let backend = Backend::always(Answer::Hang);
    let settings = [("default-deadline", "100ms"), ("max-deadline", "300ms")];
    let facade = Facade::with(&backend.url(), &settings);
    let request = with_timeout(ListUsersRequest::default(), "1H");
    let status = soon(users(&facade).list_users(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_sends_nothing() {
    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::new(&backend.url());
    let request = with_timeout(DeleteUserRequest { uid: 7 }, "0n");
    let status = soon(users(&facade).delete_user(request)).await.unwrap_err();
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

#[tokio::test]
async fn a_timeout_that_cannot_be_read_is_refused() {
    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::new(&backend.url());
    for timeout in ["soon", "1", "123456789S", "-1S"] {
        let request = with_timeout(DeleteUserRequest { uid: 7 }, timeout);
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
    let request = DeleteUserRequest { uid: 7 };
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
        soon(backend.hung_up(count)).await;
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
                .delete_user(DeleteUserRequest { uid: 7 })
                .await
        });
        runtime
    });
    let runtime = client.join().unwrap();
    soon(backend.got(1)).await;
    runtime.shutdown_background();
    soon(backend.hung_up(1)).await;
}
