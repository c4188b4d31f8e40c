//! Servers that are not of this project, and answer what they like.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{assert_fails, call};
use crate::support::backend::ANY_PORT;

type Body = BoxBody<Bytes, Infallible>;

/// Makes an answer.
type Answer = fn() -> Response<Body>;

/// A server that answers every call alike, until it is dropped.
struct Peer {
    address: String,
    _task: AbortOnDropHandle<()>,
}

impl Peer {
    async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = move |request: Request<Incoming>| async move {
                    request.into_body().collect().await.unwrap();
                    Ok::<_, Infallible>(answer())
                };
                let http = http2::Builder::new(TokioExecutor::new());
                let served = http.serve_connection(TokioIo::new(stream), service_fn(answer));
                // Clients go as they please.
                connections.spawn(async { drop(served.await) });
            }
        });
        Self {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

/// `NOT_FOUND`, with details that cannot be read.
fn status() -> HeaderMap {
    let mut status = HeaderMap::new();
    for (name, value) in [
        ("grpc-status", "5"),
        ("grpc-message", "no such thing"),
        ("grpc-status-details-bin", "%%%"),
    ] {
        status.insert(name, HeaderValue::from_static(value));
    }
    status
}

/// The beginning of an answer.
fn begun(body: Body) -> Response<Body> {
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body).unwrap()
}

fn in_headers() -> Response<Body> {
    let mut response = begun(Empty::new().boxed());
    response.headers_mut().extend(status());
    response
}

fn in_trailers() -> Response<Body> {
    let message = Full::new(Bytes::from_static(&[0; 5]));
    begun(message.with_trailers(async { Some(Ok(status())) }).boxed())
}

fn without_an_end() -> Response<Body> {
    begun(StreamBody::new(futures_util::stream::pending()).boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn details_that_are_no_base64_are_left_out_of_the_explanation() {
    let everywhere: [(Answer, &[&str]); 2] = [
        (in_headers, &["ListUsers", "SendMessages"]),
        (in_trailers, &["ListUsers"]),
    ];
    for (answer, rpcs) in everywhere {
        let peer = Peer::answering(answer).await;
        for rpc in rpcs {
            let says = ["NOT_FOUND: no such thing; it does not come from mesibo-grpc"];
            assert_fails(call(&peer.address, &[*rpc]), 64 + 5, &says);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_told_by_the_client_if_the_server_lets_it_pass() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let deadline = format!("{DEADLINE:?}");
    for (rpc, request, repeat) in [
        ("ListUsers", "{}", "yes, it changes nothing"),
        (
            "CreateUser",
            r#"{"address": "a", "app_id": "b"}"#,
            "no, it may have been carried out",
        ),
    ] {
        let peer = Peer::answering(without_an_end).await;
        let args = [rpc, request, "--deadline", &deadline];
        let says = [
            &format!("{rpc}: DEADLINE_EXCEEDED: there is no answer within {DEADLINE:?}"),
            "\nWhat to do: allow it more time with --deadline, or look at the server.",
            &format!("\nSafe to repeat: {repeat}"),
        ];
        assert_fails(call(&peer.address, &args), 64 + 4, &says);
    }
}
