//! How connections begin, and how they do not.

use std::{
    error::Error,
    process::Output,
    time::{Duration, SystemTime},
};

use mesibo::chain;
use mesibo_grpc::access::key::KeyHash;
use rustls::version::{TLS12, TLS13};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    NAME,
    authority::{Authority, Files},
    connect, handshake, list, serve,
};
use crate::{
    program::assert_refused,
    support::{
        Answer, Backend, EVERYTHING, Facade, Process, TOKEN, facade, facade::soon,
        process::command, settings_file, told,
    },
};

#[tokio::test]
async fn tls_is_1_2_or_1_3_and_carries_http_2() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = serve(&backend.url(), &files, false, &[]);
    for version in [&TLS12, &TLS13] {
        let stream = handshake(facade.addr(), &authority, version, &["http/1.1", "h2"]).await;
        let stream = stream.unwrap();
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(connection.protocol_version(), Some(version.version));
        let other = handshake(facade.addr(), &authority, version, &["http/1.0"]).await;
        let error = other.unwrap_err().to_string();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
    }
    let channel = connect(facade.addr(), &authority.pem, None).await.unwrap();
    list(channel, None).await.unwrap();
}

#[tokio::test]
async fn http1_is_negotiated_by_those_who_know_no_other_unless_grpc_alone_is_spoken() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = serve(&backend.url(), &files, false, &[]);
    let stream = handshake(facade.addr(), &authority, &TLS13, &["http/1.1"]).await;
    let mut stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = "POST /mesibo.v1.UserService/ListUsers HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/json\r\ncontent-length: 2\r\n\
                   connection: close\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n{}"), "{response}");

    let grpc = [("protocols", "grpc")];
    let facade = serve(&backend.url(), &files, false, &grpc);
    let refused = handshake(facade.addr(), &authority, &TLS13, &["http/1.1"]).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn a_client_refuses_a_certificate_that_is_not_the_servers() {
    let (authority, other) = (Authority::new(), Authority::new());
    let backend = Backend::always(Answer::ok(EVERYTHING));
    for (identity, trusted, reason) in [
        (authority.issue(&[NAME]), &other, "UnknownIssuer"),
        (
            authority.issue(&["other.example"]),
            &authority,
            "not valid for name",
        ),
    ] {
        let files = Files::new(&identity, "");
        let facade = serve(&backend.url(), &files, false, &[]);
        let error = connect(facade.addr(), &trusted.pem, None)
            .await
            .unwrap_err();
        let error = chain(&error as &(dyn Error + 'static));
        assert!(error.contains(reason), "{error} lacks {reason}");
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn who_begins_badly_is_cut_off_and_holds_up_nobody() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = [("handshake-timeout", "500ms")];
    let facade = serve(&backend.url(), &files, false, &settings);
    let mut streams = Vec::new();
    // Silent ones, ones that stop within the TLS handshake, and ones that speak HTTP/2
    // without TLS.
    for first in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(facade.addr()).await.unwrap();
            stream.write_all(first).await.unwrap();
            streams.push(stream);
        }
    }
    let channel = connect(facade.addr(), &authority.pem, None).await.unwrap();
    list(channel.clone(), None).await.unwrap();
    for stream in &mut streams {
        // An alert may come before the end.
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    // One that speaks TLS, and then says nothing.
    let mut stream = handshake(facade.addr(), &authority, &TLS13, &["h2"])
        .await
        .unwrap();
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    list(channel, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_has_a_port_of_its_own_without_tls_and_without_keys() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let settings = settings_file(&format!(
        "[callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(b"s3ntinel")
    ));
    let mut args = files.flags(false);
    let config = settings.path().to_str().unwrap();
    args.extend(["--health-listen", "127.0.0.1:0", "--config", config].map(Into::into));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut server = Process::serve("http://127.0.0.1:1/", &args);
    let probes = server.logged_address("health=");

    let channel = Endpoint::from_shared(format!("http://{probes}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "mesibo.v1.MessageService"] {
        let service = service.to_owned();
        let response = health.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(response.into_inner().status(), ServingStatus::Serving);
    }
    let status = list(channel, None).await.unwrap_err();
    assert_eq!(told(&status).2, "UNKNOWN_METHOD");

    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    soon(watch.message()).await.unwrap().unwrap();
    server.signal("TERM");
    let last = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(server.end().0.success());
}

#[tokio::test]
async fn the_health_command_asks_over_tls_as_well() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(&["localhost"]), &other.pem);
    let facade = serve("http://127.0.0.1:1/", &files, false, &[]);
    let url = format!("https://localhost:{}", facade.addr().port());
    let own = settings_file(&authority.pem);
    let ask = async |ca: &std::path::Path| {
        let mut command = command(&["health", "--address", &url, "--ca-file"]);
        command.arg(ca);
        let asked = tokio::task::spawn_blocking(move || command.output().unwrap());
        asked.await.unwrap()
    };
    let output = ask(own.path()).await;
    assert!(output.status.success(), "{output:?}");
    let output = ask(&files.path("clients.crt")).await;
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.contains("UnknownIssuer") && line.lines().count() == 1,
        "{line}"
    );
}

fn start(args: &[String]) -> Output {
    let mut command = command(&["serve", "--listen", "127.0.0.1:0"]);
    command.args(args).env("MESIBO_APP_TOKEN", TOKEN);
    command.output().unwrap()
}

#[test]
fn files_that_do_not_fit_stop_the_start() {
    let authority = Authority::new();
    let (identity, other) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let mut mixed = identity.clone();
    mixed.key = other.key;
    let files = Files::new(&mixed, "");
    assert_refused(
        &start(&files.flags(false)),
        "do not make a certificate with its key",
    );
    assert_refused(
        &start(&files.flags(false)[..2]),
        "expected together with tls-key-file",
    );

    let days = |days: u64| Duration::from_hours(24 * days);
    let now = SystemTime::now();
    for (from, until, mistake) in [
        (now - days(9), now - days(1), "tls.crt: it expired at 20"),
        (now + days(1), now + days(9), "tls.crt: it is valid from 20"),
    ] {
        let files = Files::new(&authority.issue_for(&[NAME], from, until), "");
        assert_refused(&start(&files.flags(false)), mistake);
    }

    let files = Files::new(&identity, "s3ntinel");
    assert_refused(&start(&files.flags(true)), "clients.crt, and found none");
    assert_refused(
        &start(&files.flags(true)[2..]),
        "tls-certificate-file: expected",
    );
    std::fs::remove_file(files.path("tls.crt")).unwrap();
    assert_refused(&start(&files.flags(false)), "tls.crt");
}

#[tokio::test]
async fn plaintext_is_refused_where_tls_is_spoken_and_the_other_way_round() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let facade = serve("http://127.0.0.1:1/", &files, false, &[]);
    let plain = format!("http://{}", facade.addr());
    let plain = Endpoint::from_shared(plain).unwrap().connect_lazy();
    let status = list(plain, None).await.unwrap_err();
    assert_ne!(status.code(), Code::Ok);
    let facade = Facade::of(facade::config("http://127.0.0.1:1/", &[]));
    connect(facade.addr(), &authority.pem, None)
        .await
        .unwrap_err();
}
