//! A backend that answers every request in the same way, as fast as it can.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{
    http1::{request_length, response},
    identity::Identity,
    process,
};

const REPLY: &str = r#"{"op":"message","mid":1387628,"result":true}"#;

/// The id of the next user that is made.
static NEXT_UID: AtomicU64 = AtomicU64::new(1);

/// What a backend does.
#[derive(Clone, Copy)]
pub enum Backend {
    /// It gives the id of a message.
    Messages,
    /// It makes a user for each request.
    Users,
    /// It gives the id of a message, and speaks HTTP/2 alone.
    Http2,
}

impl Backend {
    /// The one that the argument of a role names.
    pub fn of_argument(name: &str) -> Self {
        match name {
            "users" => Self::Users,
            "http2" => Self::Http2,
            _ => Self::Messages,
        }
    }
}

/// Serves until its parent goes away, with TLS if it has an identity.
pub async fn serve(backend: Backend, identity: Option<Identity>) {
    let protocols: &[&[u8]] = match backend {
        Backend::Http2 => &[b"h2"],
        Backend::Messages | Backend::Users => &[],
    };
    let acceptor = identity.map(|identity| identity.acceptor(protocols));
    let listener = process::listen().await;
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await.expect("it accepts");
            stream.set_nodelay(true).expect("it is a socket");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => backend.answer(stream).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            backend.answer(stream).await;
                        }
                    }
                }
            });
        }
    };
    process::until_the_parent_goes(accept).await;
}

impl Backend {
    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        match self {
            Self::Messages => answer(stream, false).await,
            Self::Users => answer(stream, true).await,
            Self::Http2 => {
                let serving = http2::Builder::new(TokioExecutor::new())
                    .max_concurrent_streams(1_000)
                    .serve_connection(TokioIo::new(stream), service_fn(reply));
                let _ = serving.await;
            }
        }
    }
}

async fn reply(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // What is not read is reset.
    let _ = request.into_body().collect().await;
    let reply = Full::new(Bytes::from_static(REPLY.as_bytes()));
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(reply).expect("it is a response"))
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, has_users: bool) {
    let fixed = response("200 OK", REPLY);
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        while let Some((head, body)) = request_length(&buffer) {
            buffer.drain(..head + body);
            let written = if has_users {
                stream
                    .write_all(response("200 OK", &user()).as_bytes())
                    .await
            } else {
                stream.write_all(fixed.as_bytes()).await
            };
            if written.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

/// A reply with a user of its own, and with the id of a message.
fn user() -> String {
    let uid = NEXT_UID.fetch_add(1, Ordering::Relaxed);
    format!(
        r#"{{"op":"any","user":{{"uid":"{uid}","token":"89314021d442"}},"mid":1387628,"result":true}}"#
    )
}
