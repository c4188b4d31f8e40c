//! Requests that only look like calls.

use http::{Method, Request};
use http_body_util::BodyExt as _;
use mesibo_grpc::proto::{SendMessageRequest, send_message_request::Recipient};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::attacker::{Attacker, body};
use crate::support::{Answer, Backend, EVERYTHING, Facade, Process, facade::soon, get};

const SEND: &str = "/mesibo.v1.MessageService/SendMessage";

/// A request that is carried out if it is taken for gRPC.
fn message() -> Vec<u8> {
    let message = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(7)),
        message: "Hello".into(),
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let length = u8::try_from(message.len()).unwrap();
    [&[0, 0, 0, 0, length], &message[..]].concat()
}

#[tokio::test]
async fn a_method_other_than_post_carries_nothing_out() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let Attacker(mut sender) = Attacker::connect(facade.addr()).await;
    for method in ["GET", "HEAD", "PUT", "OPTIONS", "XYZ", "post"] {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://attacker{SEND}"))
            .header("content-type", "application/grpc")
            .body(body(message(), true));
        let response = soon(sender.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let lines = text.split(|&byte| byte == b'\n').count() - 1;
        assert_eq!(lines, usize::from(method != "HEAD"), "{method}: {text:?}");
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_content_type_that_only_begins_like_grpc_carries_nothing_out() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let other = [
        "application/grpc+json",
        "application/grpc-web+json",
        "application/grpcfoo",
        "application/connect+json",
        "text/plain",
    ];
    let doors = [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/json",
        "application/proto",
    ];
    for (protocols, refused, speaks) in [
        (
            "grpc,grpc-web,connect",
            &other[..],
            "gRPC, gRPC-Web, Connect: ",
        ),
        ("grpc", &[other, doors].concat(), "gRPC: "),
        ("connect", &doors[..3], "Connect: "),
    ] {
        let facade = Facade::with(&backend.url(), &[("protocols", protocols)]);
        let attacker = Attacker::connect(facade.addr()).await;
        for refused in refused {
            let headers = [("content-type", *refused)];
            let response = attacker.call(SEND, &headers, body(message(), true)).await;
            let response = response.unwrap();
            assert_eq!(response.status(), 415, "{refused}");
            let text = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(text.into()).unwrap();
            let begin = format!("this port speaks {speaks}");
            assert!(text.starts_with(&begin) && text.ends_with('\n'), "{text}");
        }
    }
    assert!(backend.requests().is_empty());

    let facade = Facade::new(&backend.url());
    let attacker = Attacker::connect(facade.addr()).await;

    for grpc in [
        "application/grpc",
        "application/grpc+proto",
        "Application/gRPC; charset=utf-8",
    ] {
        let headers = [("content-type", grpc)];
        let response = attacker.call(SEND, &headers, body(message(), true)).await;
        assert_eq!(response.unwrap().status(), 200, "{grpc}");
    }
    assert_eq!(backend.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_where_grpc_alone_is_spoken_is_told_to_upgrade_and_leaves_a_line_in_the_log() {
    let args = ["--metrics-listen", "127.0.0.1:0", "--protocols", "grpc"];
    let process = Process::serve("http://127.0.0.1:1/", &args);
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("POST {SEND} HTTP/1.0\r\ncontent-length: 9\r\n\r\n123456789"),
        // The answer is there before the request is.
        "G".to_owned(),
    ] {
        let mut stream = TcpStream::connect(&process.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nupgrade: h2c\r\n"), "{head}");
        assert!(
            head.contains("\r\nconnection: upgrade, close\r\n"),
            "{head}"
        );
        assert!(text.contains("gRPC") && text.ends_with('\n'), "{text}");
    }
    soon(process.logged("a client speaks HTTP/1")).await;
    let counted = "grpc_server_handled_total{grpc_type=\"unknown\",grpc_service=\"unknown\",\
                   grpc_method=\"unknown\",grpc_code=\"Unknown\",dialect=\"unknown\"} 3\n";
    let metrics = process.logged_address("metrics=");
    soon(async { while !get(metrics, "/metrics").await.contains(counted) {} }).await;
}
