//! gRPC-Web, its streams, and messages that are compressed by gzip.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mesibo_grpc::proto::{CreateGroupRequest, ListUsersRequest, ListUsersResponse};
use prost::Message;

use super::ask;
use crate::support::{Answer, Backend, EVERYTHING, Facade, facade::soon};

const LIST: &str = "/mesibo.v1.UserService/ListUsers";
const CREATE: &str = "/mesibo.v1.GroupService/CreateGroup";

/// A frame with a flag.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut decoded).unwrap();
    decoded
}

/// Twenty users, whose list is worth compressing.
fn many_users() -> Answer {
    let user = |uid: u32| {
        let address = format!("{}{uid}@example.com", "alice".repeat(20));
        format!(r#"{{"uid": "{uid}", "address": "{address}", "appid": "demo"}}"#)
    };
    let users: Vec<_> = (1..=20).map(user).collect();
    Answer::ok(format!(
        r#"{{"result": true, "users": [{}]}}"#,
        users.join(",")
    ))
}

/// The status at the end of a response of gRPC or gRPC-Web in binary.
fn ends_with_status(body: &[u8], headers: &http::HeaderMap) -> Option<u32> {
    if let Some(status) = headers.get("grpc-status") {
        return status.to_str().ok()?.parse().ok();
    }
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.rsplit_once("grpc-status: ")?;
    rest.lines().next()?.parse().ok()
}

/// The last frame of a response of gRPC-Web in text. Frames are encoded one by one, and a
/// short one with trailers begins with these characters.
fn trailers_of_text(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    STANDARD
        .decode(&text[text.find("gAAA").unwrap()..])
        .unwrap()
}

#[tokio::test]
async fn a_watch_of_health_is_a_stream_of_grpc_web() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    for (is_http1, is_text) in [(true, false), (false, false), (true, true)] {
        let mut facade = Facade::with(&backend.url(), &[("shutdown-grace", "20s")]);
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
            .http2_only(!is_http1)
            .build_http();
        let (content_type, body) = if is_text {
            ("application/grpc-web-text", STANDARD.encode([0; 5]).into())
        } else {
            ("application/grpc-web", Bytes::from_static(&[0; 5]))
        };
        let request = http::Request::post(format!(
            "http://{}/grpc.health.v1.Health/Watch",
            facade.addr()
        ));
        let request = request
            .header("content-type", content_type)
            .body(Full::new(body));
        let response = soon(client.request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), 200);
        let expected = format!("{content_type}+proto");
        assert_eq!(response.headers()["content-type"], expected);
        let mut body = response.into_body();
        let first = soon(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        let decode = |bytes: &[u8]| {
            if is_text {
                STANDARD.decode(bytes).unwrap()
            } else {
                bytes.to_vec()
            }
        };
        // SERVING, while the stream is open.
        assert_eq!(decode(&first), frame(0, &[8, 1]));
        facade.shut_down();
        let rest = soon(body.collect()).await.unwrap().to_bytes();
        let trailers = if is_text {
            trailers_of_text(&rest)
        } else {
            rest.to_vec()
        };
        let status = ends_with_status(&trailers, &http::HeaderMap::new());
        assert_eq!(status, Some(0), "{rest:?}");
    }
}

#[tokio::test]
async fn a_text_of_grpc_web_may_come_in_parts_with_padding_of_their_own() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let request = ListUsersRequest {
        count: Some(3),
        ..Default::default()
    };
    let body = frame(0, &request.encode_to_vec());
    let (first, rest) = body.split_at(4);
    let body = STANDARD.encode(first) + &STANDARD.encode(rest);
    let headers = [("content-type", "application/grpc-web-text")];
    for (body, status) in [(body.as_str(), 0), ("AAAA*", 3), ("AAAA", 13)] {
        let server = facade.addr();
        let listed = ask(server, true, Method::POST, LIST, &headers, body.to_owned()).await;
        let trailers = trailers_of_text(&listed.body);
        let told = ends_with_status(&trailers, &listed.headers);
        assert_eq!(told, Some(status), "{body}: {}", listed.text());
    }
    assert_eq!(backend.only_request().get("count"), Some("3"));
}

#[tokio::test]
async fn compressed_requests_are_read_and_responses_are_compressed_where_that_is_asked_for() {
    let backend = Backend::always(many_users());
    let facade = Facade::new(&backend.url());
    let request = ListUsersRequest {
        count: Some(20),
        ..Default::default()
    };
    let request = request.encode_to_vec();
    let users = |message: &[u8]| ListUsersResponse::decode(message).unwrap().users.len();
    for (is_http1, content_type) in [
        (false, "application/grpc"),
        (false, "application/grpc-web"),
        (true, "application/grpc-web"),
    ] {
        let mut headers = vec![
            ("content-type", content_type),
            ("grpc-accept-encoding", "identity,gzip"),
        ];
        for (encoding, body, flag) in [
            (None, frame(0, &request), 0),
            (Some("gzip"), frame(1, &gzip(&request)), 1),
            (Some("gzip"), frame(0, &request), 1),
        ] {
            headers.truncate(2);
            headers.extend(encoding.map(|it| ("grpc-encoding", it)));
            let listed = ask(facade.addr(), is_http1, Method::POST, LIST, &headers, body).await;
            assert_eq!(listed.header("grpc-encoding"), encoding);
            assert_eq!(listed.body[0], flag, "{content_type} {encoding:?}");
            let length = u32::from_be_bytes(listed.body[1..5].try_into().unwrap());
            let message = &listed.body[5..][..length as usize];
            let count = if flag == 1 {
                users(&gunzip(message))
            } else {
                users(message)
            };
            assert_eq!(count, 20);
        }
    }
    for content_type in ["application/json", "application/proto"] {
        let is_json = content_type == "application/json";
        let body = if is_json {
            &b"{\"count\": 20}"[..]
        } else {
            &request[..]
        };
        let headers = [
            ("content-type", content_type),
            ("content-encoding", "gzip"),
            ("accept-encoding", "br, gzip"),
        ];
        let listed = ask(
            facade.addr(),
            true,
            Method::POST,
            LIST,
            &headers,
            gzip(body),
        )
        .await;
        assert_eq!(
            listed.header("content-encoding"),
            Some("gzip"),
            "{content_type}"
        );
        let message = gunzip(&listed.body);
        if is_json {
            let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(message["users"].as_array().unwrap().len(), 20);
        } else {
            assert_eq!(users(&message), 20);
        }
        let listed = ask(
            facade.addr(),
            true,
            Method::POST,
            LIST,
            &headers[..2],
            gzip(body),
        )
        .await;
        assert_eq!(listed.header("content-encoding"), None);
    }
    let requests = backend.requests();
    assert!(requests.iter().all(|it| it.get("count") == Some("20")));
}

#[tokio::test]
async fn what_is_said_to_be_compressed_and_is_not_is_refused() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let grpc = [
        ("content-type", "application/grpc"),
        ("grpc-encoding", "gzip"),
    ];
    for (body, status) in [
        (frame(1, b"no gzip"), 3),
        (frame(1, &gzip(b"x")[..10]), 3),
        (frame(7, b""), 13),
        // Its end does not come.
        (frame(1, &gzip(b"x"))[..12].to_vec(), 13),
    ] {
        let told = ask(
            facade.addr(),
            false,
            Method::POST,
            LIST,
            &grpc,
            body.clone(),
        )
        .await;
        let told = ends_with_status(&told.body, &told.headers);
        assert_eq!(told, Some(status), "{body:?}");
    }
    let other = [
        ("content-type", "application/grpc"),
        ("grpc-encoding", "br"),
    ];
    let told = ask(
        facade.addr(),
        false,
        Method::POST,
        LIST,
        &other,
        frame(1, b"x"),
    )
    .await;
    assert_eq!(told.header("grpc-status"), Some("12"));
    assert_eq!(told.header("grpc-accept-encoding"), Some("gzip, identity"));
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = [("max-request-bytes", "1048576")];
    let facade = Facade::with(&backend.url(), &settings);
    // A message of 64 MiB in 64 KiB.
    let bomb = CreateGroupRequest {
        name: Some("x".repeat(64 << 20)),
        ..Default::default()
    };
    let bomb = gzip(&bomb.encode_to_vec());
    assert!(bomb.len() < 128 << 10);
    for (is_http1, content_type, encoding) in [
        (false, "application/grpc", "grpc-encoding"),
        (true, "application/grpc-web", "grpc-encoding"),
        (true, "application/proto", "content-encoding"),
        (false, "application/json", "content-encoding"),
    ] {
        let headers = [("content-type", content_type), (encoding, "gzip")];
        let is_connect = encoding == "content-encoding";
        let body = if is_connect {
            bomb.clone()
        } else {
            frame(1, &bomb)
        };
        let told = ask(
            facade.addr(),
            is_http1,
            Method::POST,
            CREATE,
            &headers,
            body,
        )
        .await;
        let text = format!("{:?} {}", told.headers, String::from_utf8_lossy(&told.body));
        assert!(text.contains("1048576"), "{text}");
        if is_connect {
            assert_eq!(told.status, 429, "{text}");
        } else {
            assert_eq!(
                ends_with_status(&told.body, &told.headers),
                Some(8),
                "{text}"
            );
        }
    }
    assert!(backend.requests().is_empty());
}
