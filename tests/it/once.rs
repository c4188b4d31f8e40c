//! Once-only calls: what a repeat with the same `request_id` gets.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use mesibo_grpc::proto::{
    CreateGroupRequest, SendMessageRequest, SendMessageResponse,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Answer, Backend, Facade,
    doors::{DOORS, Door},
    facade::soon,
    telling, told,
};

const ID: &str = "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e";

fn message(id: &str, text: &str) -> SendMessageRequest {
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: text.into(),
        request_id: Some(id.into()),
        ..Default::default()
    }
}

type Sent = Result<Response<SendMessageResponse>, Status>;

async fn send(facade: &Facade) -> Sent {
    soon(facade.messages().send_message(message(ID, "hi"))).await
}

fn is_replayed(sent: &Sent) -> bool {
    let metadata = match sent {
        Ok(response) => response.metadata(),
        Err(status) => status.metadata(),
    };
    metadata
        .get("request-replayed")
        .is_some_and(|mark| mark == "true")
}

fn message_id(sent: &Sent) -> u64 {
    sent.as_ref().unwrap().get_ref().message_id.unwrap()
}

/// A backend that gives each message and group an id of its own, after so many other
/// answers.
fn counting(failures: usize, failure: Answer) -> Backend {
    let requests = AtomicUsize::new(0);
    let ids = AtomicU64::new(1);
    Backend::scripted(move |_| {
        if requests.fetch_add(1, Ordering::Relaxed) < failures {
            return failure.clone();
        }
        let id = ids.fetch_add(1, Ordering::Relaxed);
        Answer::ok(format!(
            r#"{{"result": true, "mid": {id}, "group": {{"gid": {id}}}}}"#
        ))
    })
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_is_marked() {
    let backend = counting(0, Answer::Hang);
    let facade = Facade::new(&backend.url());
    let first = send(&facade).await;
    let second = send(&facade).await;
    assert_eq!((message_id(&first), is_replayed(&first)), (1, false));
    assert_eq!((message_id(&second), is_replayed(&second)), (1, true));

    // Upper case names the same UUID, and another UUID another message.
    let upper = message(&ID.to_uppercase(), "hi");
    assert!(is_replayed(&facade.messages().send_message(upper).await));
    let other = message("00000000-0000-4000-8000-000000000001", "hi");
    assert_eq!(message_id(&facade.messages().send_message(other).await), 2);
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_through_whatever_door_it_comes() {
    for (index, door) in DOORS.into_iter().enumerate() {
        let backend = counting(0, Answer::Hang);
        let facade = Facade::new(&backend.url());
        let send = async |door: Door| {
            let mut messages = MessageServiceClient::new(door.of(facade.addr()));
            soon(messages.send_message(message(ID, "hi"))).await
        };
        let first = send(door).await;
        assert_eq!((message_id(&first), is_replayed(&first)), (1, false));
        for again in [door, DOORS[(index + 1) % DOORS.len()]] {
            let second = send(again).await;
            assert_eq!((message_id(&second), is_replayed(&second)), (1, true));
        }
        assert_eq!(backend.requests().len(), 1, "{door:?}");
    }
}

#[tokio::test]
async fn groups_are_created_once_as_well() {
    let backend = counting(0, Answer::Hang);
    let facade = Facade::new(&backend.url());
    let request = CreateGroupRequest {
        request_id: Some(ID.into()),
        ..Default::default()
    };
    for _ in 0..3 {
        let created = facade.groups().create_group(request.clone()).await.unwrap();
        assert_eq!(created.get_ref().gid, 1);
    }
    assert_eq!(backend.requests().len(), 1);
    // The ids of each RPC are its own.
    assert_eq!(message_id(&send(&facade).await), 2);
}

#[tokio::test]
async fn repeats_wait_for_the_first_while_it_is_under_way() {
    let (answer, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok(r#"{"result": true, "mid": 7}"#)
    });
    let facade = Facade::new(&backend.url());
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let mut messages = facade.messages();
            tokio::spawn(async move { messages.send_message(message(ID, "hi")).await })
        })
        .collect();
    soon(backend.got(1)).await;
    answer.send(()).unwrap();
    let mut replayed = 0;
    for call in calls {
        let sent = soon(call).await.unwrap();
        assert_eq!(message_id(&sent), 7);
        replayed += usize::from(is_replayed(&sent));
    }
    assert_eq!(replayed, 49);
    backend.only_request();
}

#[tokio::test]
async fn another_request_with_the_same_id_is_refused() {
    let backend = counting(0, Answer::Hang);
    let facade = Facade::new(&backend.url());
    send(&facade).await.unwrap();
    let other = message(ID, "something else");
    let status = facade.messages().send_message(other).await.unwrap_err();
    let op = [("op", "message")];
    let expected = telling(
        Code::InvalidArgument,
        "mesibo-grpc",
        "REQUEST_ID_REUSED",
        &op,
    );
    assert_eq!(told(&status), expected);
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "request_id");
    backend.only_request();
}

#[tokio::test]
async fn what_was_surely_not_carried_out_may_be_tried_again() {
    for failure in [
        Answer::http(503, &[], ""),
        Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
    ] {
        let backend = counting(1, failure);
        let facade = Facade::new(&backend.url());
        let first = send(&facade).await;
        assert!(first.is_err() && !is_replayed(&first));
        let second = send(&facade).await;
        assert_eq!((message_id(&second), is_replayed(&second)), (1, false));
    }
}

#[tokio::test]
async fn what_was_not_sent_may_be_tried_again() {
    let address = Backend::always(Answer::Hang).addr();
    let facade = Facade::new(&format!("http://{address}/api.php"));
    let first = send(&facade).await;
    assert_eq!(told(&first.unwrap_err()).2, "UPSTREAM_UNREACHABLE");
    let backend = Backend::on(address, Answer::ok(r#"{"result": true, "mid": 7}"#));
    assert_eq!(message_id(&send(&facade).await), 7);
    backend.only_request();
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_never_sent_again() {
    for failure in [
        Answer::SendAndClose(Vec::new()),
        Answer::http(502, &[], ""),
        Answer::ok("<html>"),
    ] {
        let backend = counting(1, failure);
        let facade = Facade::new(&backend.url());
        let first = send(&facade).await;
        let second = send(&facade).await;
        assert!(!is_replayed(&first) && is_replayed(&second));
        let [first, second] = [first, second].map(Result::unwrap_err);
        assert_eq!(told(&first), told(&second));
        assert_eq!(told(&first).3["outcome"], "unknown");
        assert_eq!(
            second.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "-1"
        );
        backend.only_request();
    }
}

#[tokio::test]
async fn a_repeat_learns_what_became_of_a_call_whose_caller_went_away() {
    let (answer, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok(r#"{"result": true, "mid": 7}"#)
    });
    let facade = Facade::new(&backend.url());
    let mut messages = facade.messages();
    let first = tokio::spawn(async move { messages.send_message(message(ID, "hi")).await });
    soon(backend.got(1)).await;
    first.abort();
    let mut messages = facade.messages();
    let second = tokio::spawn(async move { messages.send_message(message(ID, "hi")).await });
    // Time for both to arrive.
    tokio::time::sleep(Duration::from_millis(500)).await;
    answer.send(()).unwrap();
    let second = soon(second).await.unwrap();
    assert_eq!((message_id(&second), is_replayed(&second)), (7, true));
    backend.only_request();
}

#[tokio::test]
async fn a_repeat_takes_over_from_a_call_whose_caller_went_away_before_it_was_sent() {
    let backend = Backend::scripted(|request| match request.get("msg") {
        Some("hi") => Answer::ok(r#"{"result": true, "mid": 7}"#),
        _ => Answer::Hang,
    });
    let settings = [("upstream-max-in-flight", "1"), ("upstream-max-wait", "1m")];
    let facade = Facade::with(&backend.url(), &settings);
    let start = |id: &'static str, text: &'static str| {
        let mut messages = facade.messages();
        tokio::spawn(async move { messages.send_message(message(id, text)).await })
    };
    let in_the_way = start("00000000-0000-4000-8000-000000000001", "slow");
    soon(backend.got(1)).await;
    let first = start(ID, "hi");
    // Time for each to get in line.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = start(ID, "hi");
    tokio::time::sleep(Duration::from_millis(300)).await;
    first.abort();
    in_the_way.abort();
    let second = soon(second).await.unwrap();
    assert_eq!((message_id(&second), is_replayed(&second)), (7, false));
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_is_not_sent_again() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::with(&backend.url(), &[("default-deadline", "200ms")]);
    // Once while the first is still on the wire, and once when it is given up.
    for _ in 0..2 {
        for _ in 0..2 {
            let status = send(&facade).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert_eq!(told(&status).3["outcome"], "unknown");
        }
        soon(backend.hung_up(1)).await;
    }
    backend.only_request();
}

#[tokio::test]
async fn an_id_is_a_uuid() {
    let backend = counting(0, Answer::Hang);
    let facade = Facade::new(&backend.url());
    for id in [
        "",
        "1",
        "6f1ed002ab5b4a1fa1e63c1f4b2d8c0e",
        "{6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e}",
        "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0g",
        "00000000-0000-0000-0000-000000000000",
    ] {
        let sent = facade.messages().send_message(message(id, "")).await;
        let details = sent.unwrap_err().get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let fields: Vec<_> = violations
            .iter()
            .map(|violation| &*violation.field)
            .collect();
        assert_eq!(fields, ["message", "request_id"], "{id}");
    }
    assert!(backend.requests().is_empty());
}
