//! A client that keeps to HTTP/2 and to nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::support::{TOKEN, process::PROGRAM};

/// A body whose bytes are sent as the server takes them.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// One connection of a client that keeps to HTTP/2, and to nothing else.
pub struct Attacker(pub SendRequest<Body>);

impl Attacker {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Begins a call with these headers besides those of gRPC.
    pub async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://attacker{path}"))
            .header("te", "trailers");
        let has_type = headers.iter().any(|(name, _)| *name == "content-type");
        if !has_type {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.0.clone();
        sender.send_request(request.body(body).unwrap()).await
    }

    /// Makes a call, and gives its status.
    pub async fn status(&self, path: &str, headers: &[(&str, &str)], body: Body) -> Status {
        let response = self.call(path, headers, body).await.unwrap();
        status(response).await
    }
}

/// The status of a response.
pub async fn status(response: Response<Incoming>) -> Status {
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return status;
    }
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Status::from_header_map(&trailers).unwrap_or_else(|| Status::new(Code::Unknown, "none"))
}

/// The beginning of a message that is announced to have `length` bytes, of which `sent` are
/// sent. The body never ends.
pub fn endless(length: usize, sent: usize) -> Body {
    let mut bytes = vec![0; 5];
    bytes[1..].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    bytes.resize(5 + sent, 0);
    body(bytes, false)
}

/// These bytes, and perhaps the end of the body.
pub fn body(bytes: impl AsRef<[u8]>, ends: bool) -> Body {
    let chunks: Vec<_> = bytes
        .as_ref()
        .chunks(16 << 10)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    let chunks = stream::iter(chunks);
    if ends {
        StreamBody::new(chunks).boxed_unsync()
    } else {
        StreamBody::new(chunks.chain(stream::pending())).boxed_unsync()
    }
}

/// How much memory a process may have: `ulimit -d` counts in KiB.
pub const HALF_A_GIGABYTE: &str = "-d 524288";

/// How much of it an attack may take, in KiB.
pub const FAR_BELOW: usize = 200 << 10;

/// `serve` under a limit of `sh`'s `ulimit`, such as `-n 256`.
pub fn limited(limit: &str, args: &[&str]) -> std::process::Command {
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", &script, PROGRAM, "serve", "--lame-duck", "0s"])
        .args(args)
        .env_clear()
        .env("MESIBO_APP_TOKEN", TOKEN);
    command
}
