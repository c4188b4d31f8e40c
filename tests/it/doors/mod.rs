//! Calls that are not gRPC: Connect, gRPC-Web, gzip, HTTP/1.1, and browsers.

mod browsers;
mod clients;
mod connect;
mod frames;
mod http1;

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::support::{assert_no_secret, facade::soon};

/// A response that has arrived.
struct Arrived {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Arrived {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }
}

/// Makes a request of a server.
async fn ask(
    server: SocketAddr,
    is_http1: bool,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Arrived {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(!is_http1)
        .build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{server}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let (head, body) = soon(client.request(request)).await.unwrap().into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert_no_secret("a response", &format!("{head:?} {text}"));
    Arrived {
        status: head.status,
        headers: head.headers,
        body,
    }
}

/// Posts JSON, over HTTP/1.1.
async fn post(server: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Arrived {
    let headers = [&[("content-type", "application/json")], headers].concat();
    ask(server, true, Method::POST, path, &headers, body.to_owned()).await
}
