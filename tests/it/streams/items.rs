//! What holds for a call holds for an item.

use std::collections::HashSet;

use mesibo_grpc::{access::key::KeyHash, proto::SendMessageRequest};
use tonic::Code;

use super::{Messages, Users, item, item_of, message, read, texts, uid, user};
use crate::{
    access::{ADMIN, Fixture},
    support::{Answer, Backend, EVERYTHING, Facade, Process, facade::soon, get, telling, told},
};

const ID: &str = "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e";

/// A backend that gives each message an id, and refuses those to nobody.
fn picky() -> Backend {
    Backend::scripted(|request| match request.get("msg") {
        Some("to nobody") => Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        _ => Answer::ok(EVERYTHING),
    })
}

#[tokio::test]
async fn every_item_is_answered_once_with_its_key_and_a_bad_one_fails_alone() {
    let backend = picky();
    let facade = Facade::new(&backend.url());
    let mut stream = Messages::open(&facade.channel).await;
    let bad = SendMessageRequest {
        from_address: " alice".into(),
        ..message("bad")
    };
    let good: Vec<_> = texts(300).collect();
    let mut items: Vec<_> = good.iter().map(|text| item(text)).collect();
    items.insert(100, item_of("bad", bad.clone()));
    items.insert(200, item("to nobody"));
    items.insert(250, item_of("", message("without a key")));
    stream.send_all(items.into_iter());
    let (mut answers, ended) = stream.rest().await;
    ended.unwrap();

    // The status of the unary call.
    for (key, request) in [("bad", bad), ("to nobody", message("to nobody"))] {
        let status = facade.messages().send_message(request).await.unwrap_err();
        assert_eq!(answers.remove(key).unwrap().unwrap_err(), told(&status));
    }
    let without_a_key = answers.remove("").unwrap().unwrap_err();
    let op = [("op", "message")];
    let invalid = telling(Code::InvalidArgument, "mesibo-grpc", "INVALID_REQUEST", &op);
    assert_eq!(without_a_key, invalid);
    assert_eq!(answers.len(), good.len());
    for text in &good {
        assert_eq!(answers[text].as_ref().unwrap().message_id, Some(1_387_628));
    }
    // Each of the good ones was sent once, and that to nobody twice.
    let sent: Vec<_> = backend.requests();
    let sent: Vec<_> = sent.iter().filter_map(|it| it.get("msg")).collect();
    assert_eq!(sent.len(), good.len() + 2);
    assert_eq!(HashSet::<_>::from_iter(sent).len(), good.len() + 1);
}

#[tokio::test]
async fn users_are_created_by_the_thousand() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let mut stream = Users::open(&facade.channel).await;
    stream.send_all((0..1000).map(|number| user(&format!("user {number}"))));
    let mut keys = HashSet::new();
    while let Some(answer) = soon(stream.answers.message()).await.unwrap() {
        assert!(keys.insert(answer.key.clone()), "two answers to {answer:?}");
        assert_eq!(uid(answer), 5302);
    }
    assert_eq!((keys.len(), backend.requests().len()), (1000, 1000));
}

#[tokio::test]
async fn answers_come_as_they_are_known_in_any_order() {
    let backend = Backend::scripted(|request| match request.get("msg") {
        Some("slow") => Answer::After(super::A_WHILE, Box::new(Answer::ok(EVERYTHING))),
        _ => Answer::ok(EVERYTHING),
    });
    let facade = Facade::new(&backend.url());
    let mut stream = Messages::open(&facade.channel).await;
    stream.send(item("slow")).await;
    soon(backend.got(1)).await;
    for text in ["one", "two"] {
        stream.send(item(text)).await;
        let answer = soon(stream.answers.message()).await.unwrap().unwrap();
        assert_eq!(read(answer).0, text);
    }
    stream.finish();
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert!(answers["slow"].is_ok());
}

#[tokio::test]
async fn an_id_is_sent_once_whether_it_comes_in_an_item_or_in_a_call() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let with_id = SendMessageRequest {
        request_id: Some(ID.into()),
        ..message("once")
    };
    let mut stream = Messages::open(&facade.channel).await;
    for replayed in [false, true] {
        stream.send(item_of("any", with_id.clone())).await;
        let answer = soon(stream.answers.message()).await.unwrap().unwrap();
        assert_eq!(answer.replayed, replayed);
        assert!(read(answer).1.is_ok());
    }
    let again = facade.messages().send_message(with_id.clone()).await;
    let again = again.unwrap();
    assert!(again.metadata().contains_key("request-replayed"));
    // Another message with the id.
    let other = SendMessageRequest {
        request_id: Some(ID.into()),
        ..message("another")
    };
    stream.send(item_of("other", other)).await;
    let answer = soon(stream.answers.message()).await.unwrap().unwrap();
    assert_eq!(read(answer).1.unwrap_err().2, "REQUEST_ID_REUSED");
    backend.only_request();
}

#[tokio::test]
async fn an_item_that_its_caller_may_not_send_fails_alone_and_a_stream_that_it_may_not_open() {
    let key = "mgk_s3ntinel_desk";
    let hash = KeyHash::of(key.as_bytes());
    let desk = format!(
        "[callers.desk]\nkeys = [\"{hash}\"]\nfrom-addresses = [\"desk-*\"]\n\
         may-call = [\"mesibo.v1.MessageService/SendMessages\"]\n"
    );
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &desk, &[]);
    let channel = &fixture.facade.channel;
    let mut stream = Messages::open_as(channel, key).await.unwrap();
    let from_desk = SendMessageRequest {
        from_address: "desk-7".into(),
        ..message("mine")
    };
    stream.send(item("of alice")).await;
    stream.send(item_of("mine", from_desk)).await;
    stream.finish();
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert!(answers["mine"].is_ok());
    let (code, _, reason, _) = answers["of alice"].as_ref().unwrap_err();
    let denied = (Code::PermissionDenied, "SENDER_NOT_ALLOWED");
    assert_eq!((*code, reason.as_str()), denied);
    assert_eq!(fixture.shop.only_request().get("from"), Some("desk-7"));

    let reader = "mgk_s3ntinel_reader";
    let refused = Messages::open_as(channel, reader).await.err().unwrap();
    assert_eq!(told(&refused).2, "RPC_NOT_ALLOWED");
    assert!(Messages::open_as(channel, ADMIN).await.is_ok());
}

#[tokio::test]
async fn a_stream_leaves_one_line_with_its_counts_and_each_item_one_in_the_audit() {
    let backend = picky();
    let server = Process::serve(&backend.url(), &["--metrics-listen", "127.0.0.1:0"]);
    let channel = server.channel().await;
    let mut stream = Messages::open(&channel).await;
    let items = ["one", "two", "to nobody", " bad key"].map(item);
    stream.send_all(items.into_iter());
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert_eq!(answers.len(), 4);

    server.logged("failed_items=").await;
    soon(async { while server.log().matches("audit").count() < 3 {} }).await;
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("items=")).collect();
    let [line] = lines[..] else {
        panic!("{lines:?}");
    };
    for part in [
        r#"rpc="mesibo.v1.MessageService/SendMessages""#,
        r#"code="OK""#,
        " items=4 ",
        " failed_items=2 ",
        r#"upstream_code="NOUSER""#,
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let audit: Vec<_> = log.lines().filter(|line| line.contains("audit")).collect();
    assert_eq!(audit.len(), 3, "{audit:?}");
    for (key, outcome) in [("one", "done"), ("two", "done"), ("to nobody", "not_done")] {
        let parts = [format!("key=\"{key}\""), format!("outcome=\"{outcome}\"")];
        let is_line = |line: &&&str| parts.iter().all(|part| line.contains(part));
        assert_eq!(audit.iter().filter(is_line).count(), 1, "{audit:?}");
    }

    let metrics = get(server.logged_address("metrics="), "/metrics").await;
    let service = r#"grpc_service="mesibo.v1.MessageService",grpc_method="SendMessages""#;
    for (name, labels, dialect, count) in [
        (
            "grpc_server_handled_total",
            "grpc_type=\"bidi_stream\",",
            ",dialect=\"grpc\"",
            1,
        ),
        ("mesibo_grpc_stream_items_total", "", "", 2),
    ] {
        let series = format!("{name}{{{labels}{service},grpc_code=\"OK\"{dialect}}} {count}");
        assert!(metrics.contains(&series), "no {series}");
    }
    for (code, count) in [("NotFound", 1), ("InvalidArgument", 1), ("Internal", 0)] {
        let series =
            format!("mesibo_grpc_stream_items_total{{{service},grpc_code=\"{code}\"}} {count}");
        assert!(metrics.contains(&series), "no {series}");
    }
}
