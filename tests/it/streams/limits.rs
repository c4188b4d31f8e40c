//! Windows, rates, shares, memory and deadlines of streams.

use std::time::{Duration, Instant};

use mesibo_grpc::access::key::KeyHash;
use tokio::time::sleep;
use tonic::{Code, transport::Endpoint};

use super::{A_WHILE, Messages, Users, item, item_of, message, texts, user};
use crate::{
    access::{ADMIN, Fixture},
    support::{Answer, Backend, EVERYTHING, Facade, facade::soon, telling},
};

/// Waits until a backend got no more requests for a while, and gives their number.
async fn settled(backend: &Backend) -> usize {
    soon(async {
        let mut before = 0;
        loop {
            sleep(A_WHILE).await;
            let now = backend.requests().len();
            if now == before && now > 0 {
                return now;
            }
            before = now;
        }
    })
    .await
}

#[tokio::test]
async fn no_more_items_are_in_flight_than_the_window_has() {
    for (settings, window) in [(&[][..], 64), (&[("stream-window", "3")][..], 3)] {
        let backend = Backend::always(Answer::Hang);
        let facade = Facade::with(&backend.url(), settings);
        let mut stream = Messages::open(&facade.channel).await;
        stream.send_all(texts(1000).map(|text| item(&text)));
        soon(backend.got(window)).await;
        sleep(A_WHILE).await;
        assert_eq!(backend.requests().len(), window);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_what_it_sends_and_nothing_is_lost() {
    // Answers of 8 KiB, of which a few have room on the way.
    let token = "t".repeat(8 << 10);
    let reply = format!(r#"{{"result": true, "user": {{"uid": 7, "token": "{token}"}}}}"#);
    let backend = Backend::always(Answer::ok(reply));
    let facade = Facade::new(&backend.url());
    let endpoint = Endpoint::from_shared(format!("http://{}", facade.addr())).unwrap();
    let channel = endpoint.initial_stream_window_size(16 << 10).connect_lazy();
    let mut stream = Users::open(&channel).await;
    stream.send_all((0..500).map(|number| user(&format!("user {number}"))));
    let begun = settled(&backend).await;
    assert!((64..200).contains(&begun), "{begun} of 500");
    let mut answers = 0;
    while soon(stream.answers.message()).await.unwrap().is_some() {
        answers += 1;
    }
    assert_eq!((answers, backend.requests().len()), (500, 500));
}

#[tokio::test]
async fn an_item_has_the_deadline_of_a_call_and_the_stream_goes_on() {
    let backend = Backend::scripted(|request| match request.get("msg") {
        Some("never") => Answer::Hang,
        _ => Answer::ok(EVERYTHING),
    });
    let facade = Facade::with(&backend.url(), &[("default-deadline", "2s")]);
    let mut stream = Messages::open(&facade.channel).await;
    stream.send(item("never")).await;
    soon(backend.got(1)).await;
    // Far longer than an item may take in all.
    for text in texts(12) {
        stream.send(item(&text)).await;
        sleep(Duration::from_millis(250)).await;
    }
    stream.finish();
    let (mut answers, ended) = stream.rest().await;
    ended.unwrap();
    let never = answers.remove("never").unwrap().unwrap_err();
    let metadata = [("op", "message"), ("outcome", "unknown")];
    let (domain, reason) = ("mesibo-grpc", "DEADLINE_EXCEEDED");
    assert_eq!(
        never,
        telling(Code::DeadlineExceeded, domain, reason, &metadata)
    );
    assert!(answers.len() == 12 && answers.values().all(Result::is_ok));
}

#[tokio::test]
async fn a_rate_makes_a_stream_slower_and_fails_no_item() {
    let key = "mgk_s3ntinel_slow";
    let hash = KeyHash::of(key.as_bytes());
    let of_caller =
        format!("[callers.slow]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\nrate = 10\nburst = 1\n");
    let of_app = "rate = 10\nburst = 1\n";
    for (tables, key) in [(&*of_caller, key), (of_app, ADMIN)] {
        // Less than an item waits: the time of an item begins when it is admitted.
        let deadline = [("default-deadline", "1s")];
        let fixture = Fixture::with(Answer::ok(EVERYTHING), tables, &deadline);
        let start = Instant::now();
        let channel = &fixture.facade.channel;
        let mut stream = Messages::open_as(channel, key).await.unwrap();
        stream.send_all(texts(30).map(|text| item(&text)));
        let (answers, ended) = stream.rest().await;
        ended.unwrap();
        assert_eq!(answers.len(), 30);
        assert!(answers.values().all(Result::is_ok), "{answers:?}");
        assert!(start.elapsed() >= Duration::from_secs(2));
    }
}

#[tokio::test]
async fn an_item_that_no_rate_ever_admits_fails_alone() {
    let key = "mgk_s3ntinel_slow";
    let hash = KeyHash::of(key.as_bytes());
    let tables = format!(
        "[callers.slow]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\nrate = 1000\nburst = 10\n"
    );
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &tables, &[]);
    let mut stream = Messages::open_as(&fixture.facade.channel, key)
        .await
        .unwrap();
    let receivers: Vec<_> = (0..11).map(|number| number.to_string()).collect();
    let mut to_many = message("to many");
    to_many.recipient = Some(super::Recipient::ToAddress(receivers.join(",")));
    stream.send(item_of("to many", to_many)).await;
    stream.send(item("to one")).await;
    stream.finish();
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert_eq!(answers["to many"].as_ref().unwrap_err().2, "RATE_LIMITED");
    assert!(answers["to one"].is_ok());
}

#[tokio::test]
async fn streams_wait_for_their_callers_share_of_what_is_in_flight() {
    let key = "mgk_s3ntinel_narrow";
    let hash = KeyHash::of(key.as_bytes());
    let tables =
        format!("[callers.narrow]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\nmax-in-flight = 2\n");
    let slow = Answer::After(Duration::from_millis(20), Box::new(Answer::ok(EVERYTHING)));
    let fixture = Fixture::with(slow, &tables, &[]);
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = Messages::open_as(&fixture.facade.channel, key)
            .await
            .unwrap();
        stream.send_all(texts(25).map(|text| item(&text)));
        streams.push(stream);
    }
    for mut stream in streams {
        let (answers, ended) = stream.rest().await;
        ended.unwrap();
        assert_eq!(answers.len(), 25);
        assert!(answers.values().all(Result::is_ok), "{answers:?}");
    }
    let connections = fixture.shop.requests();
    let connections = connections.iter().map(|request| request.connection).max();
    assert!(connections.unwrap() < 2, "no more than two were in flight");
}

#[tokio::test]
async fn items_in_flight_take_no_more_memory_than_their_connection_may() {
    let backend = Backend::scripted(|_| Answer::Hang);
    let settings = [
        ("max-request-bytes", "1048576"),
        ("max-request-memory-per-connection", "4194304"),
        ("default-deadline", "2s"),
    ];
    let facade = Facade::with(&backend.url(), &settings);
    let mut stream = Messages::open(&facade.channel).await;
    let text = "x".repeat(900 << 10);
    let large = (0..8).map(move |number| item_of(&number.to_string(), message(&text)));
    stream.send_all(large);
    // The buffer of the stream has room for one, and the items for three.
    soon(backend.got(3)).await;
    let begun = settled(&backend).await;
    assert!(begun < 8, "{begun} of 8");
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert_eq!((answers.len(), backend.requests().len()), (8, 8));
    assert!(
        answers
            .values()
            .all(|answer| { answer.as_ref().unwrap_err().2 == "DEADLINE_EXCEEDED" })
    );
}

#[tokio::test]
async fn streams_that_wait_hold_up_nothing_else_on_their_connection_and_do_not_end_it() {
    let backend = Backend::scripted(|request| match request.get("op").unwrap() {
        "message" => Answer::Hang,
        _ => Answer::ok(EVERYTHING),
    });
    let facade = Facade::with(&backend.url(), &[("stream-window", "1")]);
    let mut streams = Vec::new();
    for number in 1..=6 {
        let mut stream = Messages::open(&facade.channel).await;
        // As many small frames as the windows of the streams have room for.
        stream.send_all(texts(5000).map(|text| item(&text)));
        streams.push(stream);
        soon(backend.got(number)).await;
    }
    sleep(A_WHILE).await;
    let group = mesibo_grpc::proto::CreateGroupRequest {
        name: Some("x".repeat(1 << 20)),
        ..Default::default()
    };
    soon(facade.groups().create_group(group)).await.unwrap();
    assert_eq!(backend.requests().len(), 7);
    for stream in &mut streams {
        let next = tokio::time::timeout(Duration::ZERO, stream.answers.message()).await;
        assert!(next.is_err(), "a stream has ended: {next:?}");
    }
}

#[tokio::test]
async fn one_item_at_a_time_is_taken_if_the_memory_has_room_for_one() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = [
        ("max-request-bytes", "1048576"),
        ("max-request-memory-per-connection", "1376256"),
    ];
    let facade = Facade::with(&backend.url(), &settings);
    let mut stream = Messages::open(&facade.channel).await;
    let text = "x".repeat(900 << 10);
    let large = (0..8).map(move |number| item_of(&number.to_string(), message(&text)));
    stream.send_all(large);
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert!(answers.len() == 8 && answers.values().all(Result::is_ok));
}
