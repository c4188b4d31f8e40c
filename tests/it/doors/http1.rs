//! Clients of HTTP/1.1 that are slow, silent, or do not go.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Answer, Backend, EVERYTHING, Facade, facade::soon};

const HEAD: &str = "POST /mesibo.v1.UserService/ListUsers HTTP/1.1\r\nhost: localhost\r\n\
                    content-type: application/json\r\n";

/// What a server sends until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    // A reset is an end as well.
    let _ = soon(stream.read_to_string(&mut text)).await;
    text
}

/// What a server sends as one response with a body in JSON.
async fn response(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with('}') {
        let mut buffer = [0; 1024];
        let read = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text
}

#[tokio::test]
async fn headers_and_bodies_that_do_not_come_are_given_up() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = [
        ("keepalive-time", "300ms"),
        ("request-body-timeout", "300ms"),
    ];
    let facade = Facade::with(&backend.url(), &settings);
    for begun in ["P", HEAD] {
        let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let told = until_closed(&mut stream).await;
        assert!(!told.contains(" 200 "), "{told}");
    }
    for framing in [
        "content-length: 9\r\n\r\n{",
        "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    ] {
        let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
        let begun = format!("{HEAD}{framing}");
        stream.write_all(begun.as_bytes()).await.unwrap();
        let told = until_closed(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 504 "), "{told}");
        assert!(told.contains("did not arrive within 300ms"), "{told}");
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_connection_takes_one_call_after_another_until_it_is_idle_or_old() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    for setting in ["max-connection-idle", "max-connection-age"] {
        let facade = Facade::with(&backend.url(), &[(setting, "2s")]);
        let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
        for framing in [
            "content-length: 2\r\n\r\n{}",
            "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ] {
            let request = format!("{HEAD}{framing}");
            stream.write_all(request.as_bytes()).await.unwrap();
            let told = response(&mut stream).await;
            assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
        }
        assert_eq!(until_closed(&mut stream).await, "", "{setting}");
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_a_call_in_flight_and_closes_its_connection() {
    let backend = Backend::slow(Duration::from_secs(1), Answer::ok(EVERYTHING));
    let settings = [("shutdown-grace", "20s")];
    let mut facade = Facade::with(&backend.url(), &settings);
    let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
    let request = format!("{HEAD}content-length: 2\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).await.unwrap();
    soon(backend.got(1)).await;
    facade.shut_down();
    let told = until_closed(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert!(told.contains("\r\nconnection: close\r\n"), "{told}");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_upstream_request() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::new(&backend.url());
    let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
    let request = format!("{HEAD}content-length: 2\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).await.unwrap();
    soon(backend.got(1)).await;
    drop(stream);
    soon(backend.hung_up(1)).await;
}

#[tokio::test]
async fn grpc_over_http1_is_told_to_upgrade() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
    let request = HEAD.replace("application/json", "application/grpc");
    let request = format!("{request}content-length: 5\r\n\r\n\0\0\0\0\0");
    stream.write_all(request.as_bytes()).await.unwrap();
    let told = until_closed(&mut stream).await;
    assert!(
        told.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
        "{told}"
    );
    assert!(told.contains("\r\nupgrade: h2c\r\n"), "{told}");
    assert!(
        told.ends_with("\r\n\r\ngRPC needs HTTP/2; HTTP/1.1 is for gRPC-Web and Connect\n"),
        "{told}"
    );
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn calls_of_http1_count_among_the_connections_of_an_address() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let mut config =
        crate::support::facade::config(&backend.url(), &[("max-connections-per-address", "2")]);
    config.server.limits.loopback_is_limited = true;
    let facade = Facade::of(config);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
        let request = format!("{HEAD}content-length: 2\r\n\r\n{{}}");
        stream.write_all(request.as_bytes()).await.unwrap();
        response(&mut stream).await;
        open.push(stream);
    }
    let mut third = TcpStream::connect(facade.addr()).await.unwrap();
    assert_eq!(until_closed(&mut third).await, "");
}
