//! The answer to a client that speaks HTTP/1: it learns what the port speaks.

use std::time::Duration;

use tokio::{
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// The answer to every request, RFC 9110, section 15.5.22.
const ANSWER: &str = concat!(
    "HTTP/1.1 426 Upgrade Required\r\n",
    "server: ",
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION"),
    "\r\n",
    "upgrade: h2c\r\n",
    "connection: upgrade, close\r\n",
    "content-type: text/plain; charset=utf-8\r\n",
    "content-length: 78\r\n",
    "\r\n",
    "this port speaks gRPC, over HTTP/2 with prior knowledge; HTTP/1.1 it does not\n",
);

/// How long the client may take to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of the request is read, in bytes.
const LIMIT: u64 = 64 << 10;

/// Whether a client that has sent this, and not the preface of HTTP/2, speaks HTTP/1: its
/// first request begins with a method.
pub(super) fn is_spoken(sent: &[u8]) -> bool {
    sent.first().is_some_and(u8::is_ascii_uppercase) && !sent.starts_with(b"PRI ")
}

/// Answers. Then the request is read on, for a while: to close the connection on bytes that
/// were not read resets it, and the client may lose the answer.
pub(super) async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let answer = async {
        stream.write_all(ANSWER.as_bytes()).await?;
        stream.shutdown().await?;
        io::copy(&mut stream.take(LIMIT), &mut io::sink()).await
    };
    // A client that goes away needs no answer.
    let _ = timeout(PATIENCE, answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, body) = ANSWER.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{length}");
    }

    #[test]
    fn http1_begins_with_a_method() {
        for spoken in ["G", "GET / HTTP/1.1", "POST", "PUT", "PROPFIND", "PRIX"] {
            assert!(is_spoken(spoken.as_bytes()), "{spoken}");
        }
        for other in ["", "\x16\x03\x01", "PRI * HTTP/1.1", "get /", "\0"] {
            assert!(!is_spoken(other.as_bytes()), "{other}");
        }
    }
}
