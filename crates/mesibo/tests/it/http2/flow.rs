//! What one stream costs the others: windows, limits, calls that are given up.

use std::time::Duration;

use mesibo::{Client, Failure, Operation};
use tokio::time::Instant;

use super::{DONE, assert_lost, message, read, write};
use crate::support::{
    Recorder,
    http2::{
        CANCEL, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, OK,
        Peer, RST_STREAM, Request, Server,
    },
    later,
};

/// A write that ends without an answer, with the clock paused: once nothing else happens.
async fn short_write(client: &Client, text: &str) -> mesibo::Error {
    let deadline = Instant::now() + Duration::from_secs(1);
    client.call(message(text), deadline).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_server_without_room_for_the_form_got_nothing() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept_with(&[(INITIAL_WINDOW_SIZE, 0)]).await;
        peer.expect(HEADERS).await;
        let reset = peer.expect(RST_STREAM).await;
        assert_eq!(reset.code(), CANCEL);
        peer
    };
    let (error, _peer) = tokio::join!(short_write(&client, "1"), script);
    assert!(
        matches!(error.failure(), Failure::OutOfTime { sent: false }),
        "{error:?}"
    );
    assert!(!error.outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_server_with_room_for_a_part_of_the_form_may_have_got_it() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept_with(&[(INITIAL_WINDOW_SIZE, 5)]).await;
        let part = peer.expect(DATA).await;
        assert_eq!(part.payload, b"op=me");
        peer
    };
    let (error, _peer) = tokio::join!(short_write(&client, "1"), script);
    assert!(
        matches!(error.failure(), Failure::OutOfTime { sent: true }),
        "{error:?}"
    );
    assert!(error.outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_may_have_got_what_fills_the_buffers() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept_with(&[(INITIAL_WINDOW_SIZE, 32 << 20)]).await;
        peer.open_window(0, 32 << 20).await;
        peer.expect(HEADERS).await;
        peer
    };
    let large = "x".repeat(16 << 20);
    let (error, _peer) = tokio::join!(short_write(&client, &large), script);
    assert!(
        matches!(error.failure(), Failure::OutOfTime { sent: true }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_form_goes_out_as_the_server_has_room_for_it() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept_with(&[(INITIAL_WINDOW_SIZE, 5)]).await;
        let (mut form, mut stream) = (Vec::<u8>::new(), 1);
        loop {
            let part = peer.expect(DATA).await;
            form.extend_from_slice(&part.payload);
            stream = stream.max(part.stream);
            if part.flags & END_STREAM != 0 {
                break;
            }
            assert!(part.payload.len() <= 5);
            let room = part.payload.len().try_into().unwrap();
            peer.open_window(stream, room).await;
        }
        assert_eq!(form, b"op=message&from=alice&to=bob&msg=1&token=t0k%2Fen");
        peer.reply(stream, DONE).await;
        peer
    };
    let (result, _peer) = tokio::join!(write(&client, "1"), script);
    result.unwrap();
}

/// Accepts a connection, and takes the request that it begins with.
async fn first_request(server: &Server) -> (Peer, Request) {
    let mut peer = server.accept().await;
    let request = peer.request().await;
    (peer, request)
}

#[tokio::test]
async fn a_dropped_read_resets_its_stream_and_the_connection_goes_on() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    let mut peer = tokio::select! {
        _ = read(&client) => panic!("it has no answer"),
        (peer, _) = first_request(&server) => peer,
    };
    let reset = peer.expect(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, CANCEL));
    tokio::spawn(peer.serve());
    read(&client).await.unwrap();
    assert_eq!(observer.events().opened, 1);
}

#[tokio::test]
async fn a_write_that_was_sent_goes_on_without_its_caller() {
    let server = Server::new();
    let client = server.client(());
    let (sender, outcome) = std::sync::mpsc::channel();
    let tell = move |result: &Result<_, _>| sender.send(result.is_ok()).unwrap();
    let (mut peer, request) = tokio::select! {
        _ = client.write(message("1"), later(), tell) => panic!("it has no answer"),
        sent = first_request(&server) => sent,
    };
    peer.reply(request.stream, DONE).await;
    client.drained().await;
    assert_eq!(outcome.try_recv(), Ok(true));
}

#[tokio::test]
async fn a_write_that_was_refused_without_its_caller_is_known_to_be_undone() {
    let server = Server::new();
    let client = server.client(());
    let (sender, outcome) = std::sync::mpsc::channel();
    let tell = move |result: &Result<_, mesibo::Error>| {
        let error = result.as_ref().unwrap_err();
        sender.send(error.outcome_unknown()).unwrap();
    };
    let (mut peer, request) = tokio::select! {
        _ = client.write(message("1"), later(), tell) => panic!("it has no answer"),
        sent = first_request(&server) => sent,
    };
    peer.reset(request.stream, crate::support::http2::REFUSED_STREAM)
        .await;
    let (_next, ()) = tokio::join!(server.accept(), client.drained());
    assert_eq!(outcome.try_recv(), Ok(false));
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_not_read_on_and_costs_no_connection() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client_with(observer.clone(), |config| config.max_reply_bytes = 1000);
    let script = async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        let stream = request.stream;
        peer.send(&[Frame::new(HEADERS, END_HEADERS, stream, OK)])
            .await;
        peer.send(&[Frame::new(DATA, 0, stream, [b' '; 1001])])
            .await;
        let reset = peer.expect(RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (stream, CANCEL));
        tokio::spawn(peer.serve());
    };
    let (result, ()) = tokio::join!(read(&client), script);
    let error = result.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    read(&client).await.unwrap();
    assert_eq!(observer.events().opened, 1);
}

#[tokio::test]
async fn replies_that_exceed_the_windows_in_all_arrive() {
    let server = Server::new();
    let client = server.client(());
    let serve = async {
        let mut peer = server.accept().await;
        for _ in 0..20 {
            let request = peer.request().await;
            let reply = format!("{DONE}{}", " ".repeat(200_000));
            let stream = request.stream;
            peer.send(&[Frame::new(HEADERS, END_HEADERS, stream, OK)])
                .await;
            for chunk in reply.as_bytes().chunks(10_000) {
                peer.send(&[Frame::new(DATA, 0, stream, chunk)]).await;
            }
            peer.send(&[Frame::new(DATA, END_STREAM, stream, [])]).await;
        }
        peer
    };
    let calls = async {
        for _ in 0..20 {
            read(&client).await.unwrap();
        }
    };
    tokio::join!(calls, serve);
}

#[tokio::test]
async fn an_answer_before_the_whole_form_counts() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept_with(&[(INITIAL_WINDOW_SIZE, 5)]).await;
        let part = peer.expect(DATA).await;
        // RFC 9113, section 8.1: a complete response, and no interest in the rest.
        peer.reply(part.stream, r#"{"result": false, "error": "NOUSER"}"#)
            .await;
        peer.reset(part.stream, NO_ERROR).await;
        peer
    };
    let (result, _peer) = tokio::join!(write(&client, "1"), script);
    let error = result.unwrap_err();
    assert!(
        matches!(error.failure(), Failure::Refused { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_lost() {
    for code in [NO_ERROR, CANCEL] {
        let server = Server::new();
        let client = server.client(());
        let script = async {
            let mut peer = server.accept().await;
            let stream = peer.request().await.stream;
            peer.send(&[
                Frame::new(HEADERS, END_HEADERS, stream, OK),
                // It could pass for a whole reply.
                Frame::new(DATA, 0, stream, DONE),
            ])
            .await;
            peer.reset(stream, code).await;
            peer
        };
        let call = client.call(Operation::user_del(7), later());
        let (result, _peer) = tokio::join!(call, script);
        let error = result.unwrap_err();
        assert_lost(&error);
    }
}
