//! What peers may ask of the server, and what becomes of those who ask for more.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{DeleteUserRequest, ListUsersRequest};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Answer, Backend, EVERYTHING, Facade, Process, TOKEN,
    facade::soon,
    http2::{
        ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY,
        HEADERS, NO_ERROR, PING, Peer, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    },
    process::PROGRAM,
};

const NOWHERE: &str = "http://127.0.0.1:1/";

/// Identifiers of settings, RFC 9113, section 6.5.2.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Long enough for what must not happen to happen on a slow machine.
const A_WHILE: Duration = Duration::from_secs(2);

/// Asserts that a call is served, on a connection of its own.
async fn assert_serves(facade: &Facade) {
    let mut health = HealthClient::new(facade.channel.clone());
    soon(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
}

/// Asserts that a connection ended with a GOAWAY, and no blame.
fn assert_told_to_go(frames: &[Frame]) {
    let goaway = frames.iter().rfind(|frame| frame.kind == GOAWAY);
    assert_eq!(goaway.map(Frame::code), Some(NO_ERROR), "{frames:?}");
}

/// Whether the server closed a connection, with or without a word.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let closed = async {
        let mut buffer = [0; 1024];
        while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    timeout(Duration::from_secs(10), closed).await.is_ok()
}

#[tokio::test]
async fn peers_are_told_how_many_calls_and_how_large_headers_a_connection_takes() {
    let settings = [
        ("max-concurrent-streams", "7"),
        ("max-header-bytes", "1234"),
    ];
    for (settings, streams, bytes) in [(&[][..], 200, 16 << 10), (&settings, 7, 1234)] {
        let facade = Facade::with(NOWHERE, settings);
        let mut peer = Peer::connect(facade.addr()).await;
        let told = peer.expect_kind(SETTINGS).await.settings();
        assert_eq!(told[&MAX_CONCURRENT_STREAMS], streams);
        assert_eq!(told[&MAX_HEADER_LIST_SIZE], bytes);
    }
}

#[tokio::test]
async fn a_call_above_the_limit_of_a_connection_is_refused_unprocessed() {
    let facade = Facade::with(NOWHERE, &[("max-concurrent-streams", "2")]);
    let mut peer = Peer::connect(facade.addr()).await;
    let first = peer.watch().await;
    peer.watch().await;
    let third = peer.watch().await;
    let refused = peer.expect_kind(RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (third, REFUSED_STREAM));

    peer.send(&[Frame::reset(first, CANCEL)]).await;
    let fourth = peer.watch().await;
    peer.expect(|frame| frame.kind == DATA && frame.stream == fourth)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_above_the_limit_is_closed_until_one_of_the_busy_ones_ends() {
    let backend = Backend::always(Answer::Hang);
    let process = Process::serve(&backend.url(), &["--max-connections", "2"]);
    let addr = process.address.parse().unwrap();
    let mut open = Vec::new();
    for busy in 1..=2 {
        let mut peer = Peer::connect(addr).await;
        let path = "/mesibo.v1.UserService/DeleteUser";
        peer.call(
            path,
            &DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
        )
        .await;
        soon(backend.got(busy)).await;
        open.push(peer);
    }
    for _ in 0..3 {
        let mut peer = Peer::connect(addr).await;
        assert!(soon(peer.next()).await.is_none());
    }
    soon(process.logged("too many connections")).await;

    open.pop();
    let again = async {
        while Peer::connect(addr).await.next().await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(again).await;
}

#[tokio::test]
async fn headers_above_the_limit_end_their_call_alone() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("max-header-bytes", "2000")]);
    let call = async |bytes: usize| {
        let mut request = tonic::Request::new(ListUsersRequest::default());
        let value = "x".repeat(bytes).parse().unwrap();
        request.metadata_mut().insert("x-large", value);
        soon(facade.users().list_users(request)).await
    };
    call(1000).await.unwrap();
    let status = call(3000).await.unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
    assert!(status.message().contains("431"), "{status:?}");
    call(1000).await.unwrap();
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_does_not_begin_http2_in_time_is_closed() {
    let facade = Facade::with(NOWHERE, &[("handshake-timeout", "1s")]);
    let mut silent = TcpStream::connect(facade.addr()).await.unwrap();
    let mut slow = TcpStream::connect(facade.addr()).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut peer = Peer::connect(facade.addr()).await;
    assert!(is_closed(&mut silent).await);
    assert!(is_closed(&mut slow).await);
    let watch = peer.watch().await;
    peer.expect(|frame| frame.kind == DATA && frame.stream == watch)
        .await;
}

#[tokio::test]
async fn a_connection_that_begins_something_else_is_closed_at_once() {
    // HTTP/1.1 is something else where gRPC alone is spoken.
    let settings = [("handshake-timeout", "1h"), ("protocols", "grpc")];
    let facade = Facade::with(NOWHERE, &settings);
    for hello in [&b"G"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
        stream.write_all(hello).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_is_cut_off() {
    let settings = [("keepalive-time", "100ms"), ("keepalive-timeout", "300ms")];
    let facade = Facade::with(NOWHERE, &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    peer.watch().await;
    peer.expect_kind(PING).await;
    peer.until_cut_off().await;
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let settings = [("keepalive-time", "100ms"), ("keepalive-timeout", "1h")];
    let facade = Facade::with(NOWHERE, &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    for _ in 0..5 {
        let ping = peer.expect_kind(PING).await;
        peer.send(&[Frame::new(PING, ACK, 0, ping.payload)]).await;
    }
    peer.watch().await;
    peer.expect_kind(DATA).await;
}

#[tokio::test]
async fn a_connection_without_a_call_is_ended_and_one_with_a_call_is_not() {
    let facade = Facade::with(NOWHERE, &[("max-connection-idle", "1s")]);
    let mut busy = Peer::connect(facade.addr()).await;
    let watch = busy.watch().await;
    busy.expect_kind(DATA).await;

    let mut idle = Peer::connect(facade.addr()).await;
    assert_told_to_go(&idle.until_closed().await);

    assert!(timeout(A_WHILE, busy.expect_kind(GOAWAY)).await.is_err());
    busy.send(&[Frame::reset(watch, CANCEL)]).await;
    assert_told_to_go(&busy.until_closed().await);
}

#[tokio::test]
async fn calls_in_flight_finish_on_an_old_connection() {
    let (answer, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok(r#"{"result": true}"#)
    });
    let settings = [
        ("max-connection-age", "500ms"),
        ("max-connection-age-grace", "1h"),
    ];
    let facade = Facade::with(&backend.url(), &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    let path = "/mesibo.v1.UserService/DeleteUser";
    peer.send(&[
        Frame::headers(1, END_HEADERS, path),
        Frame::message(
            1,
            &DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
        ),
    ])
    .await;
    let goaway = peer.expect_kind(GOAWAY).await;
    assert_eq!(goaway.code(), NO_ERROR);
    // The first GOAWAY leaves room for what is on its way; after the answer to this
    // ping comes the one that counts.
    let ping = peer.expect_kind(PING).await;
    peer.send(&[Frame::new(PING, ACK, 0, ping.payload)]).await;
    let goaway = peer.expect_kind(GOAWAY).await;
    assert_eq!(goaway.payload[..4], 1_u32.to_be_bytes());

    answer.send(()).unwrap();
    let end = peer.expect(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
    end.await;
    peer.until_closed().await;
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn a_watch_does_not_outlive_the_grace_period_of_an_old_connection() {
    let settings = [
        ("max-connection-age", "300ms"),
        ("max-connection-age-grace", "300ms"),
    ];
    let facade = Facade::with(NOWHERE, &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    let watch = peer.watch().await;
    let frames = peer.until_closed().await;
    assert_told_to_go(&frames);
    let told = frames
        .iter()
        .any(|frame| frame.kind == DATA && frame.stream == watch);
    assert!(told, "{frames:?}");
}

#[tokio::test]
async fn an_old_connection_ends_even_if_its_peer_says_no_more() {
    let settings = [
        ("max-connection-age", "300ms"),
        ("max-connection-age-grace", "300ms"),
    ];
    let facade = Facade::with(NOWHERE, &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    peer.expect_kind(GOAWAY).await;
    peer.until_cut_off().await;
}

#[tokio::test]
async fn a_peer_that_only_sends_pings_and_reads_nothing_is_cut_off() {
    let settings = [
        ("max-connection-age", "300ms"),
        ("max-connection-age-grace", "300ms"),
    ];
    let facade = Facade::with(NOWHERE, &settings);
    let mut peer = Peer::connect(facade.addr()).await;
    let pings = vec![Frame::new(PING, 0, 0, [0; 8]); 1000];
    let sends = async { while peer.send(&pings).await {} };
    soon(sends).await;
}

/// Linux only, as the process's times are in `/proc`.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_out_of_file_descriptors_waits_for_some_and_serves_again() {
    const WATCHED: Duration = Duration::from_secs(3);
    let mut few = std::process::Command::new("/bin/sh");
    few.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", PROGRAM, "serve"])
        .args(["--handshake-timeout", "1h", "--lame-duck", "0s"])
        .args(["--metrics-listen", "none", "--worker-threads", "1"])
        .env_clear()
        .env("MESIBO_APP_TOKEN", TOKEN);
    let process = Process::start(few);
    let addr: SocketAddr = process.address.parse().unwrap();
    let start = Instant::now();
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(TcpStream::connect(addr).await.unwrap());
    }
    let warnings = || process.log().matches("cannot accept connections").count();
    soon(process.logged("cannot accept connections")).await;

    let busy = process.cpu_time();
    tokio::time::sleep(WATCHED).await;
    let busy = process.cpu_time().saturating_sub(busy);
    // A loop without a pause takes all that it gets.
    assert!(busy < WATCHED / 5, "{busy:?} of {WATCHED:?}");
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!(warnings() <= seconds + 2, "{}", process.log());

    drop(open);
    let mut peer = Peer::connect(addr).await;
    peer.watch().await;
    peer.expect_kind(DATA).await;
}

/// Sends what `frames` makes of stream after stream until the server has had enough,
/// and gives its GOAWAY. Another connection is served all the while.
async fn flood(frames: impl Fn(u32) -> Vec<Frame>) -> Frame {
    let facade = Facade::new(NOWHERE);
    assert_serves(&facade).await;
    let mut peer = Peer::connect(facade.addr()).await;
    let streams: Vec<_> = (1..20_001).step_by(2).collect();
    for streams in streams.chunks(100) {
        let frames: Vec<_> = streams.iter().copied().flat_map(&frames).collect();
        if !peer.send(&frames).await {
            break;
        }
        assert_serves(&facade).await;
    }
    let goaway = peer.expect_kind(GOAWAY).await;
    assert_serves(&facade).await;
    goaway
}

#[tokio::test]
async fn a_peer_that_resets_its_calls_in_a_flood_is_told_to_calm_down() {
    let goaway = flood(|stream| {
        vec![
            Frame::headers(stream, END_HEADERS, "/grpc.health.v1.Health/Watch"),
            Frame::reset(stream, CANCEL),
        ]
    })
    .await;
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_peer_that_makes_the_server_reset_calls_in_a_flood_is_told_to_calm_down() {
    let goaway = flood(|stream| {
        vec![
            Frame::headers(stream, END_HEADERS, "/grpc.health.v1.Health/Watch"),
            // More than a window can be.
            Frame::new(WINDOW_UPDATE, 0, stream, i32::MAX.to_be_bytes()),
        ]
    })
    .await;
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_peer_whose_headers_never_end_is_told_to_calm_down() {
    let goaway = flood(|stream| {
        let kind = if stream == 1 { HEADERS } else { CONTINUATION };
        vec![Frame::new(kind, 0, 1, [])]
    })
    .await;
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
}
