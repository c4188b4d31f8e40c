//! How streams end, and that no item is unaccounted for.

use std::{collections::HashSet, time::Duration};

use mesibo_grpc::proto::SendMessageRequest;
use tokio::time::sleep;
use tonic::{Code, Request, transport::Channel};
use uuid::Uuid;

use super::{A_WHILE, Messages, item, item_of, message, texts};
use crate::support::{Answer, Backend, EVERYTHING, Facade, Process, facade::soon, told};

/// The texts of the messages that a backend got. None came twice.
pub(super) fn sent(backend: &Backend) -> HashSet<String> {
    let requests = backend.requests();
    let texts: Vec<_> = requests.iter().filter_map(|it| it.get("msg")).collect();
    let sent: HashSet<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(sent.len(), texts.len(), "a message was sent twice");
    sent
}

/// An item that is sent once, however often.
fn once(text: &str) -> super::SendMessagesRequest {
    let id = Uuid::from_u128(u128::from_be_bytes(
        ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()[..16]
            .try_into()
            .unwrap(),
    ));
    let request = SendMessageRequest {
        request_id: Some(id.to_string()),
        ..message(text)
    };
    item_of(text, request)
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_item_without_a_line_in_the_audit() {
    let delay = Duration::from_millis(300);
    let backend = Backend::slow(delay, Answer::ok(EVERYTHING));
    let mut server = Process::serve(&backend.url(), &[]);
    let mut stream = Messages::open(&server.channel().await).await;
    stream.send_all(texts(500).map(|text| item(&text)));
    soon(backend.got(100)).await;
    drop(stream);
    soon(async {
        while !server.log().contains("items=") {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    sleep(A_WHILE).await;
    let sent = sent(&backend).len();
    assert!(sent < 500, "nothing is read for a client that is gone");
    server.signal("TERM");
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    // What was sent runs on until its outcome is known.
    let done = log.matches(r#"outcome="done""#).count();
    assert_eq!(done, sent, "{log}");
    assert_eq!(log.matches(r#"code="Canceled""#).count(), 1);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_sent_and_what_has_no_answer_was_not_sent() {
    let delay = Duration::from_millis(200);
    let backend = Backend::slow(delay, Answer::ok(EVERYTHING));
    let mut first = Facade::with(&backend.url(), &[("shutdown-grace", "20s")]);
    let mut stream = Messages::open(&first.channel).await;
    stream.send_all(texts(500).map(|text| item(&text)));
    soon(backend.got(100)).await;
    first.shut_down();
    let (mut answers, ended) = stream.rest().await;
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(told(&status).2, "DRAINING");
    assert!(answers.values().all(Result::is_ok));
    let keys: HashSet<_> = answers.keys().cloned().collect();
    assert_eq!(keys, sent(&backend));
    assert!(keys.len() < 500);

    // The rest goes by another server.
    let second = Facade::new(&backend.url());
    let mut stream = Messages::open(&second.channel).await;
    let rest = texts(500).filter(move |text| !keys.contains(text));
    stream.send_all(rest.map(|text| item(&text)));
    let (rest, ended) = stream.rest().await;
    ended.unwrap();
    answers.extend(rest);
    assert_eq!((answers.len(), sent(&backend).len()), (500, 500));
}

/// Sends what has no answer yet, until the stream ends or everything is answered.
async fn send_rest(channel: &Channel, answered: &mut HashSet<String>, count: usize) {
    let known = answered.clone();
    let mut stream = Messages::open(channel).await;
    let rest = texts(count).filter(move |text| !known.contains(text));
    stream.send_all(rest.map(|text| once(&text)));
    let (answers, _) = stream.rest().await;
    for (key, answer) in answers {
        match answer {
            Ok(_) => {
                answered.insert(key);
            }
            // The server that was killed had begun it.
            Err((_, _, reason, _)) if reason == "ANSWER_LOST" => {
                answered.insert(key);
            }
            // It waited for a server that may still be at work.
            Err((_, _, reason, _)) => assert_eq!(reason, "DEADLINE_EXCEEDED"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_nothing_that_taking_up_sends_twice() {
    let delay = Duration::from_millis(50);
    let backend = Backend::slow(delay, Answer::ok(EVERYTHING));
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let mut answered = HashSet::new();
    let args = ["--store", &store, "--default-deadline", "5s"];
    for kill_at in [100, 200] {
        let server = Process::serve(&backend.url(), &args);
        let channel = server.channel().await;
        let killed = async {
            backend.got(kill_at).await;
            server.signal("KILL");
        };
        soon(async { tokio::join!(send_rest(&channel, &mut answered, 400), killed) }).await;
        assert!(answered.len() < 400);
    }
    let server = Process::serve(&backend.url(), &args);
    let channel = server.channel().await;
    while answered.len() < 400 {
        send_rest(&channel, &mut answered, 400).await;
    }
    // Some of those under way at a kill were claimed, and not sent.
    let sent = sent(&backend).len();
    assert!((400 - 2 * 64..=400).contains(&sent), "{sent}");
}

#[tokio::test]
async fn a_connection_that_has_its_age_ends_its_streams_as_a_stop_does() {
    let backend = Backend::slow(Duration::from_millis(20), Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("max-connection-age", "1s")]);
    let mut answered = HashSet::new();
    let mut streams = 0;
    loop {
        let known = answered.clone();
        // The connection may end while the stream begins.
        let opened = Messages::open_with(&facade.channel, Request::new).await;
        let Ok(mut stream) = opened else {
            continue;
        };
        streams += 1;
        let rest = texts(6000).filter(move |text| !known.contains(text));
        stream.send_all(rest.map(|text| item(&text)));
        let (answers, ended) = stream.rest().await;
        assert!(answers.values().all(Result::is_ok));
        answered.extend(answers.into_keys());
        assert_eq!(answered, sent(&backend));
        match ended {
            Ok(()) => break,
            Err(status) => assert_eq!(told(&status).2, "DRAINING"),
        }
    }
    assert_eq!(answered.len(), 6000);
    assert!(streams > 1);
}

#[tokio::test]
async fn a_stream_that_waits_for_its_rate_ends_at_once_and_what_waited_was_not_sent() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let file = crate::support::settings_file(&format!(
        "[apps.default]\nrate = 0.01\nburst = 1\ntoken-file = {:?}\nupstream-url = \"{}\"\n",
        {
            let token = std::env::temp_dir().join(format!("token-{}", std::process::id()));
            crate::support::write_private(&token, crate::support::TOKEN);
            token
        },
        backend.url()
    ));
    let settings = [
        ("config", file.path().to_str().unwrap()),
        ("shutdown-grace", "20s"),
    ];
    let mut facade = Facade::of(crate::support::facade::config_of_apps(&settings));
    let mut stream = Messages::open(&facade.channel).await;
    stream.send(item("one")).await;
    soon(backend.got(1)).await;
    stream.send(item("two")).await;
    sleep(A_WHILE).await;
    facade.shut_down();
    let (answers, ended) = stream.rest().await;
    assert_eq!(told(&ended.unwrap_err()).2, "DRAINING");
    assert_eq!(answers.into_keys().collect::<Vec<_>>(), ["one"]);
    assert_eq!(sent(&backend).len(), 1);
}

#[tokio::test]
async fn a_stream_without_items_ends_after_its_idle_timeout_and_one_at_work_does_not() {
    // Longer than a stream may be idle.
    let slow = Duration::from_secs(3);
    let backend = Backend::slow(slow, Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("stream-idle-timeout", "1s")]);
    let mut stream = Messages::open(&facade.channel).await;
    stream.send(item("one")).await;
    let (answers, ended) = stream.rest().await;
    assert!(answers["one"].is_ok());
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(told(&status).2, "STREAM_IDLE");
}

#[tokio::test]
async fn a_deadline_of_the_client_ends_the_stream() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::new(&backend.url());
    let opened = Messages::open_with(&facade.channel, |items| {
        let mut request = Request::new(items);
        request.set_timeout(Duration::from_secs(1));
        request
    });
    let mut stream = opened.await.unwrap();
    stream.send(item("one")).await;
    let (answers, ended) = stream.rest().await;
    assert!(answers.values().all(Result::is_err));
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn an_item_that_is_too_large_ends_the_stream_after_those_before_it() {
    let backend = Backend::slow(Duration::from_millis(300), Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("max-request-bytes", "10000")]);
    let mut stream = Messages::open(&facade.channel).await;
    for text in ["one", "two", &"x".repeat(20_000), "three"] {
        stream.send(item(text)).await;
        sleep(Duration::from_millis(10)).await;
    }
    let (answers, ended) = stream.rest().await;
    let status = ended.unwrap_err();
    assert_eq!(told(&status).2, "MESSAGE_TOO_LARGE");
    let mut keys: Vec<_> = answers.into_keys().collect();
    keys.sort();
    assert_eq!(keys, ["one", "two"]);
    assert_eq!(sent(&backend).len(), 2);
}
