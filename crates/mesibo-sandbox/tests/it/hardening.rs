//! Strangers: names of hosts, other origins, too many connections, and peers that stall.

use std::time::{Duration, Instant};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, HOST, ORIGIN};
use http::{Method, StatusCode};
use mesibo_sandbox::{Hosts, Limits, Origins};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{FORM, PATIENCE, Running, status};

#[tokio::test]
async fn a_host_must_be_an_address_or_localhost_or_one_that_is_allowed() {
    let strict = Running::start().await;
    let hosts = Hosts::Named(vec!["sandbox".to_owned()]);
    let named = Running::with(|builder| builder.hosts(hosts)).await;
    let open = Running::with(|builder| builder.hosts(Hosts::Any)).await;
    for (host, let_in) in [
        ("127.0.0.1", [true; 3]),
        ("[::1]:50080", [true; 3]),
        ("10.1.2.3:1", [true; 3]),
        ("LOCALHOST:50080", [true; 3]),
        ("sandbox:50080", [false, true, true]),
        ("localhost.evil.example", [false, false, true]),
        ("127.0.0.1.evil.example:50080", [false, false, true]),
    ] {
        for (sandbox, let_in) in [&strict, &named, &open].into_iter().zip(let_in) {
            for path in ["/", "/api.php?op=x", "/sandbox/state"] {
                let request = sandbox.request(Method::GET, path).header(HOST, host);
                let refused = status(request).await == StatusCode::MISDIRECTED_REQUEST;
                assert_eq!(!refused, let_in, "{host} {path}");
            }
        }
    }
    for sandbox in [strict, named, open] {
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn scripts_of_other_origins_change_and_read_nothing_unless_they_are_allowed() {
    let strict = Running::start().await;
    let shop = "http://localhost:5173";
    let origins = Origins::Named(vec![shop.to_owned()]);
    let named = Running::with(|builder| builder.origins(origins)).await;
    let open = Running::with(|builder| builder.origins(Origins::Any)).await;
    for (origin, let_in) in [
        (shop, [false, true, true]),
        ("https://evil.example", [false, false, true]),
        ("null", [false, false, true]),
    ] {
        for (sandbox, let_in) in [&strict, &named, &open].into_iter().zip(let_in) {
            let change = sandbox
                .request(Method::DELETE, "/sandbox/state")
                .header(ORIGIN, origin);
            let expected = if let_in {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(status(change).await, expected, "{origin}");
            let read = sandbox
                .form("op=usersget&token=sandbox")
                .header(ORIGIN, origin);
            let response = read.send().await.expect("a response");
            let readable = response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(readable, let_in, "{origin}");
        }
    }
    // The page's own requests name its origin, too.
    let own = format!("http://{}", strict.address);
    let change = strict
        .request(Method::DELETE, "/sandbox/state")
        .header(ORIGIN, own);
    assert_eq!(status(change).await, StatusCode::NO_CONTENT);
    let preflight = named
        .request(Method::OPTIONS, "/api.php")
        .header(ORIGIN, shop);
    let preflight = preflight.header("access-control-request-method", "POST");
    let preflight = preflight.send().await.expect("a response");
    assert_eq!(preflight.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], shop);
    for sandbox in [strict, named, open] {
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed_at_once() {
    let mut limits = Limits::default();
    limits.connections = 2;
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(sandbox.address)
            .await
            .expect("a connection");
        // An answer shows that it has its place.
        peer.write_all(b"GET /sandbox/clock HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert!(peer.read(&mut [0; 1024]).await.expect("an answer") > 0);
        held.push(peer);
    }
    let mut third = TcpStream::connect(sandbox.address)
        .await
        .expect("a connection");
    let closed = third.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");

    // A place that is given up is taken again.
    held.pop();
    let begun = Instant::now();
    while sandbox
        .request(Method::GET, "/sandbox/clock")
        .send()
        .await
        .is_err()
    {
        assert!(begun.elapsed().as_secs() < 30);
        tokio::task::yield_now().await;
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let mut limits = Limits::default();
    limits.body_bytes = 1000;
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    let large = sandbox.form(&"x".repeat(1001));
    assert_eq!(status(large).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        status(sandbox.form(&"x".repeat(1000))).await,
        StatusCode::OK
    );
    // The room is free again for the next one.
    assert_eq!(
        status(sandbox.form(&"x".repeat(1000))).await,
        StatusCode::OK
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_without_a_host_is_refused() {
    let sandbox = Running::start().await;
    let huge = "x".repeat(1_000_000);
    for (head, expected) in [
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {huge}\r\n\r\n"),
            " 431 ",
        ),
        ("GET /sandbox/state HTTP/1.1\r\n\r\n".to_owned(), " 400 "),
        ("nonsense\r\n\r\n".to_owned(), " 400 "),
    ] {
        let mut peer = TcpStream::connect(sandbox.address)
            .await
            .expect("a connection");
        // It may be refused before all of it is written.
        let _ = peer.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 1024];
        let size = peer.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..size]);
        assert!(answer.contains(expected), "{head:.40}: {answer}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_peer_that_stalls_does_not_hold_up_the_shutdown() {
    let sandbox = Running::start().await;
    let mut stalled = TcpStream::connect(sandbox.address).await.expect("a peer");
    let half = format!(
        "POST /api.php HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\nop"
    );
    stalled
        .write_all(half.as_bytes())
        .await
        .expect("room to write");
    let idle = TcpStream::connect(sandbox.address).await.expect("a peer");
    let delayed = sandbox.op("op=useradd&addr=fault-delay-1m&appid=x").send();
    let delayed = tokio::spawn(delayed);
    // A whole exchange behind them, so that the server has met the stalled peers.
    sandbox.get("/sandbox/state").await;

    let begun = Instant::now();
    sandbox.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    delayed.abort();
    drop((stalled, idle));
}

#[tokio::test]
async fn a_peer_that_stalls_loses_its_connection() {
    let mut limits = Limits::default();
    limits.stall_timeout = Duration::from_millis(200);
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    let whole = "GET /sandbox/clock HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let half_a_body = format!(
        "POST /api.php HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\nop"
    );
    for (sent, answer) in [
        ("", ""),
        ("GET / HTTP/1.1\r\nHost: local", ""),
        (&half_a_body, "HTTP/1.1 408 "),
        // It was answered, and is idle.
        (whole, "HTTP/1.1 200 "),
    ] {
        let mut peer = TcpStream::connect(sandbox.address)
            .await
            .expect("a connection");
        peer.write_all(sent.as_bytes())
            .await
            .expect("room to write");
        let mut read = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, peer.read_to_end(&mut read)).await;
        closed.expect("it is closed").ok();
        let read = String::from_utf8_lossy(&read);
        assert!(read.starts_with(answer), "{sent:?}: {read:?}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_loses_its_connection() {
    let mut limits = Limits::default();
    limits.stall_timeout = Duration::from_millis(200);
    limits.connections = 1;
    let sandbox = Running::with(|builder| builder.limits(limits)).await;
    let fill = sandbox.request(Method::PUT, "/sandbox/snapshot");
    let fill = fill
        .header(CONNECTION, "close")
        .body(large_snapshot().to_string());
    assert_eq!(status(fill).await, StatusCode::NO_CONTENT);

    let mut peer = TcpStream::connect(sandbox.address)
        .await
        .expect("a connection");
    let get = "GET /sandbox/state HTTP/1.1\r\nHost: localhost\r\n\r\n";
    peer.write_all(get.as_bytes()).await.expect("room to write");
    peer.readable().await.expect("the beginning of an answer");
    // It has the only place, until it is cut off.
    let begun = Instant::now();
    let mut refused = 0;
    while sandbox
        .request(Method::GET, "/sandbox/clock")
        .send()
        .await
        .is_err()
    {
        refused += 1;
        assert!(begun.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    assert!(refused > 0);
    sandbox.stop().await;
}

/// A world with 12 MiB of messages.
fn large_snapshot() -> serde_json::Value {
    let text = "x".repeat(1024 * 1024);
    let message = serde_json::json!({ "from": "alice", "to": ["bob"], "msg": text });
    let world = serde_json::json!({ "messages": vec![message; 12] });
    serde_json::json!({ "version": 1, "worlds": { "default": world } })
}
