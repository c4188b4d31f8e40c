//! The way to Mesibo: connections, TLS, the proxy, and many calls at once.

mod protocol;

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use mesibo_grpc::proto::{
    DeleteUserRequest, SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tonic::{Code, Status};

use crate::support::{Answer, Backend, EVERYTHING, Facade, Process, facade::soon, told};

async fn delete_user(facade: &Facade) -> Result<(), Status> {
    let request = DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    };
    facade.users().delete_user(request).await.map(drop)
}

/// A backend with a certificate for a name, and the certificate as a PEM file.
fn tls_backend(name: &str) -> (Backend, tempfile::NamedTempFile) {
    tls_backend_of(name, &[])
}

/// The same, with the versions of HTTP that it offers in the TLS handshake.
pub fn tls_backend_of(name: &str, offers: &[&str]) -> (Backend, tempfile::NamedTempFile) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.into()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(cert.pem().as_bytes()).unwrap();
    (Backend::tls(config, Answer::ok(EVERYTHING)), file)
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[tokio::test]
async fn a_thousand_calls_at_once_each_get_their_own_reply() {
    let backend = Backend::scripted(|request| {
        let id = request.get("msg").unwrap();
        Answer::ok(format!(
            r#"{{"op": "message", "mid": {id}, "result": true}}"#
        ))
    });
    let facade = Facade::new(&backend.url());
    let calls: Vec<_> = (1..=1_000_u64)
        .map(|id| {
            let mut messages = facade.messages();
            tokio::spawn(async move {
                let request = SendMessageRequest {
                    from_address: "alice".into(),
                    recipient: Some(Recipient::ToAddress("bob".into())),
                    message: id.to_string(),
                    ..Default::default()
                };
                let response = messages.send_message(request).await.unwrap();
                assert_eq!(response.into_inner().message_id, Some(id));
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(backend.requests().len(), 1_000);
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::new(&backend.url());
    for _ in 0..20 {
        delete_user(&facade).await.unwrap();
    }
    assert!(
        backend
            .requests()
            .iter()
            .all(|request| request.connection == 0)
    );
}

#[tokio::test]
async fn connections_are_not_used_beyond_their_lifetime() {
    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::with(&backend.url(), &[("upstream-connection-lifetime", "1ms")]);
    for _ in 0..3 {
        delete_user(&facade).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let connections: Vec<_> = backend.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

#[tokio::test]
async fn a_connection_that_its_server_closed_is_not_used_again() {
    let backend = Backend::always(Answer::SendAndClose(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK".into(),
    ));
    let facade = Facade::new(&backend.url());
    for count in 1..=20 {
        delete_user(&facade).await.unwrap();
        assert_eq!(backend.requests().len(), count);
        // Time for the end of the connection to arrive.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tls_with_a_trusted_authority_works() {
    let (backend, certificate) = tls_backend("localhost");
    let url = format!("https://localhost:{}/api.php", backend.addr().port());
    let facade = Facade::with(&url, &[("upstream-ca-file", path(&certificate))]);
    delete_user(&facade).await.unwrap();
    assert_eq!(backend.only_request().get("op"), Some("userdel"));
}

#[tokio::test]
async fn tls_without_trust_sends_nothing() {
    let (backend, certificate) = tls_backend("other.test");
    let url = format!("https://localhost:{}/api.php", backend.addr().port());
    // An unknown authority, and a certificate for another name.
    for settings in [vec![], vec![("upstream-ca-file", path(&certificate))]] {
        let facade = Facade::with(&url, &settings);
        let status = delete_user(&facade).await.unwrap_err();
        assert_eq!(told(&status).2, "UPSTREAM_UNREACHABLE");
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_connection_that_fails_is_made_again_whatever_the_call_is() {
    let (backend, certificate) = tls_backend("localhost");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let target = backend.addr();
    tokio::spawn(async move {
        // Two that end before TLS is there, and one that goes through.
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    let facade = Facade::with(&url, &[("upstream-ca-file", path(&certificate))]);
    let request = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: "hi".into(),
        ..Default::default()
    };
    facade.messages().send_message(request).await.unwrap();
    assert_eq!(backend.only_request().get("op"), Some("message"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_within_the_connect_timeout() {
    // It accepts, and never shakes hands.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let facade = Facade::with(&url, &[("upstream-connect-timeout", "100ms")]);
    let status = soon(delete_user(&facade)).await.unwrap_err();
    assert_eq!(told(&status).2, "UPSTREAM_UNREACHABLE");
}

#[tokio::test]
async fn a_proxy_is_passed_with_its_credentials_and_sees_no_request() {
    let (backend, certificate) = tls_backend("mesibo.test");
    let (proxy, heads) = proxy_to(backend.addr()).await;
    let settings = [
        ("upstream-proxy", &*format!("http://user:pass@{proxy}")),
        ("upstream-ca-file", path(&certificate)),
    ];
    let facade = Facade::with("https://mesibo.test/api.php", &settings);
    delete_user(&facade).await.unwrap();
    assert_eq!(backend.only_request().get("op"), Some("userdel"));
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with("CONNECT mesibo.test:443 HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(
        heads[0]
            .to_lowercase()
            .contains("proxy-authorization: basic dxnlcjpwyxnz\r\n")
    );
}

#[tokio::test]
async fn loopback_is_never_proxied_and_the_environment_does_not_count() {
    let backend = Backend::always(Answer::ok("OK"));
    let (proxy, heads) = proxy_to(backend.addr()).await;
    let proxy = format!("http://{proxy}");
    let facade = Facade::with(&backend.url(), &[("upstream-proxy", &proxy)]);
    delete_user(&facade).await.unwrap();

    let mut command =
        crate::support::process::command(&["serve", "--upstream-url", &backend.url()]);
    command.env("MESIBO_APP_TOKEN", "t0k");
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
        command.env(variable, &proxy);
    }
    let process = crate::support::Process::start(command);
    let address = format!("http://{}", process.address);
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut users = mesibo_grpc::proto::user_service_client::UserServiceClient::new(channel);
    users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await
        .unwrap();

    assert_eq!(backend.requests().len(), 2);
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_as_good_as_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
    });
    let facade = Facade::with("https://mesibo.test/", &[("upstream-proxy", &proxy)]);
    let status = soon(delete_user(&facade)).await.unwrap_err();
    assert_eq!(told(&status).2, "UPSTREAM_UNREACHABLE");
}

/// A proxy that takes every tunnel to `target`, and keeps what it was asked.
async fn proxy_to(target: std::net::SocketAddr) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let head = read_head(&mut client).await;
            kept.lock().unwrap().push(head);
            let mut server = TcpStream::connect(target).await.unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (address, heads)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).await.unwrap();
    }
    head
}

#[tokio::test]
async fn answers_that_come_before_the_request_is_written_leave_no_connection_behind() {
    // It answers as soon as it has the head, and never reads the body, for which its
    // buffers are too small.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            let refusal = "HTTP/1.1 413 .\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refusal.as_bytes()).await.unwrap();
            kept.push(stream);
        }
    });
    let process = Process::serve(&url, &[]);
    let mut messages = MessageServiceClient::new(process.channel().await);
    let before = process.open_files();
    for _ in 0..100 {
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::Gid(9)),
            message: "%".repeat(1 << 20),
            ..Default::default()
        };
        let status = messages.send_message(request).await.unwrap_err();
        assert_eq!(told(&status).2, "UPSTREAM_HTTP_STATUS");
    }
    let after = process.open_files();
    assert!(after < before + 20, "{before} files, then {after}");
}
