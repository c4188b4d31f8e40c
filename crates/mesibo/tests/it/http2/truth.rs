//! What is known of a request whose stream or connection ends.

use std::{error::Error as _, sync::mpsc, thread, time::Duration};

use mesibo::{Failure, chain};
use tokio::{runtime, time::sleep};

use super::{DONE, assert_lost, read, write};
use crate::support::{
    Recorder, TOKEN,
    http2::{
        EARLY_HINTS, END_HEADERS, Frame, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, OK,
        REFUSED_STREAM, Server, client_of,
    },
};

/// `INTERNAL_ERROR`.
const INTERNAL_ERROR: u32 = 2;

#[tokio::test]
async fn a_write_whose_stream_is_reset_is_sent_again_only_if_it_was_refused() {
    for code in 0..=13 {
        let server = Server::new();
        let client = server.client(());
        let script = async {
            let mut peer = server.accept().await;
            let request = peer.request().await;
            peer.reset(request.stream, code).await;
            if code == REFUSED_STREAM {
                let mut next = server.accept().await;
                let again = next.request().await;
                assert_eq!(again.form, request.form);
                next.reply(again.stream, DONE).await;
            }
            peer
        };
        let (result, mut peer) = tokio::join!(write(&client, "1"), script);
        if code == REFUSED_STREAM {
            result.unwrap();
            continue;
        }
        let error = result.unwrap_err();
        assert!(
            matches!(error.failure(), Failure::ConnectionLost),
            "{code}: {error:?}"
        );
        assert!(error.outcome_unknown() && error.attempts() == 1, "{code}");
        // It does not come again by this connection, nor by another one.
        drop(client);
        assert!(peer.try_request().await.is_none());
        server.expect_no_connection().await;
    }
}

#[tokio::test]
async fn a_read_whose_stream_is_reset_is_made_again() {
    for code in 0..=13 {
        let server = Server::new();
        let observer = Recorder::default();
        let client = server.client(observer.clone());
        let script = async {
            let mut peer = server.accept().await;
            let request = peer.request().await;
            peer.reset(request.stream, code).await;
            if code == REFUSED_STREAM {
                peer = server.accept().await;
            }
            let again = peer.request().await;
            peer.reply(again.stream, DONE).await;
        };
        let (result, ()) = tokio::join!(read(&client), script);
        result.unwrap();
        let attempts = observer.events().attempts.len();
        assert_eq!(
            attempts,
            if code == REFUSED_STREAM { 1 } else { 2 },
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_soon_left_alone() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    let mut requests = 0;
    let refuse = async {
        loop {
            let mut peer = server.accept().await;
            let request = peer.request().await;
            requests += 1;
            peer.reset(request.stream, REFUSED_STREAM).await;
        }
    };
    let error = tokio::select! {
        result = write(&client, "1") => result.unwrap_err(),
        () = refuse => unreachable!("it goes on"),
    };
    assert!(matches!(error.failure(), Failure::Unreachable), "{error:?}");
    assert!(!error.outcome_unknown());
    assert_eq!((error.attempts(), requests), (3, 9));
}

#[tokio::test]
async fn a_refusal_after_a_response_has_begun_is_not_believed() {
    for block in [EARLY_HINTS, OK] {
        let server = Server::new();
        let client = server.client(());
        let script = async {
            let mut peer = server.accept().await;
            let request = peer.request().await;
            let begin = Frame::new(HEADERS, END_HEADERS, request.stream, block);
            peer.send(&[begin]).await;
            peer.reset(request.stream, REFUSED_STREAM).await;
        };
        let (result, ()) = tokio::join!(write(&client, "1"), script);
        let error = result.unwrap_err();
        assert!(error.outcome_unknown(), "{error:?}");
    }
}

#[tokio::test]
async fn streams_beyond_the_last_of_a_goaway_are_sent_again_and_the_others_go_on() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let server = Server::new();
        let client = server.client(());
        let script = async {
            let mut peer = server.accept().await;
            let requests = [
                peer.request().await,
                peer.request().await,
                peer.request().await,
            ];
            let [first, second, third] = requests.map(|request| request.stream);
            peer.go_away(second, code).await;
            let mut next = server.accept().await;
            let again = next.request().await;
            assert_eq!(again.get("msg"), Some("3"));
            next.reply(again.stream, r#"{"result": true, "mid": 3}"#)
                .await;
            // They are answered after the GOAWAY, or not at all.
            peer.reply(first, r#"{"result": true, "mid": 1}"#).await;
            drop(peer);
            assert!(first < second && second < third);
            next
        };
        let (first, second, third, _next) = tokio::join!(
            write(&client, "1"),
            write(&client, "2"),
            write(&client, "3"),
            script
        );
        assert_eq!(first.unwrap().mid, Some(1));
        assert_eq!(third.unwrap().mid, Some(3));
        let error = second.unwrap_err();
        assert_lost(&error);
        assert!(error.outcome_unknown());
    }
}

#[tokio::test]
async fn a_goaway_that_names_no_stream_leaves_all_unsent() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        peer.request().await;
        peer.request().await;
        peer.go_away(0, NO_ERROR).await;
        let next = server.accept().await;
        tokio::spawn(next.serve());
        peer
    };
    let (first, second, _) = tokio::join!(write(&client, "1"), write(&client, "2"), script);
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_goaway_for_later_ends_no_stream_and_lets_none_begin() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        let first = peer.request().await;
        // The first of two, RFC 9113, section 6.8.
        peer.go_away(u32::MAX >> 1, NO_ERROR).await;
        peer.settled().await;
        let second = async {
            write(&client, "2").await.unwrap();
        };
        let other = async {
            let mut next = server.accept().await;
            let request = next.request().await;
            next.reply(request.stream, DONE).await;
            next
        };
        let ((), next) = tokio::join!(second, other);
        peer.go_away(first.stream, NO_ERROR).await;
        peer.reply(first.stream, DONE).await;
        // It has no more streams.
        while peer.next().await.is_some() {}
        next
    };
    let (first, _) = tokio::join!(write(&client, "1"), script);
    first.unwrap();
}

#[tokio::test]
async fn the_text_of_a_goaway_is_never_shown() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        peer.go_away(request.stream, INTERNAL_ERROR).await;
    };
    let (result, ()) = tokio::join!(write(&client, "1"), script);
    let error = result.unwrap_err();
    assert!(error.outcome_unknown());
    let texts = format!("{error:?} {}", chain(&error));
    assert!(!texts.contains(TOKEN), "{texts}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn what_was_never_written_is_sent_again_and_what_may_have_been_is_not() {
    // The first form fills all buffers, and the server reads none of it.
    let server = Server::new();
    let client = server.client(());
    let settings = [(INITIAL_WINDOW_SIZE, 32 << 20)];
    let large = "x".repeat(16 << 20);
    let script = async {
        let mut peer = server.accept_with(&settings).await;
        peer.open_window(0, 32 << 20).await;
        peer.expect(HEADERS).await;
        let second = async {
            // The client writes as much as it can.
            sleep(Duration::from_millis(300)).await;
            let (result, ()) = tokio::join!(write(&client, "2"), async {
                sleep(Duration::from_millis(100)).await;
                drop(peer);
                let mut next = server.accept().await;
                let again = next.request().await;
                assert_eq!(again.get("msg"), Some("2"));
                next.reply(again.stream, DONE).await;
            });
            result
        };
        second.await
    };
    let (first, second) = tokio::join!(write(&client, &large), script);
    second.unwrap();
    let error = first.unwrap_err();
    assert_lost(&error);
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_connection_that_ends_loses_what_was_sent_on_it() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        peer.request().await;
        peer.request().await;
        drop(peer);
        // The read comes again.
        let next = server.accept().await;
        tokio::spawn(next.serve());
    };
    let (written, was_read, ()) = tokio::join!(write(&client, "1"), read(&client), script);
    was_read.unwrap();
    let error = written.unwrap_err();
    assert_lost(&error);
}

#[tokio::test]
async fn calls_that_lose_one_connection_are_one_failure_for_the_breaker() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        for _ in 0..20 {
            peer.request().await;
        }
    };
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { write(&client, "1").await.unwrap_err() })
        })
        .collect();
    script.await;
    for call in calls {
        assert!(call.await.unwrap().outcome_unknown());
    }
    assert!(!client.state().breaker_open);
}

#[tokio::test]
async fn a_connection_whose_end_nobody_has_seen_loses_nothing() {
    let (tell, told) = mpsc::channel();
    let (close, mut closes) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let server = Server::new();
            tell.send(server.address).unwrap();
            loop {
                let mut peer = server.accept().await;
                let request = peer.request().await;
                peer.reply(request.stream, DONE).await;
                if closes.recv().await.is_none() {
                    return;
                }
            }
        });
    });
    let client = client_of(told.recv().unwrap(), (), |_| ());
    for number in 0..20 {
        write(&client, &number.to_string()).await.unwrap();
        // The end arrives, and the runtime does not look.
        close.send(()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}
