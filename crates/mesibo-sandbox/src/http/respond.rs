//! Responses, including those that a fault spoils.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::fault::{Close, Malformed, Reaction, seconds};

/// Extension of a response: the connection is closed instead of sending it.
#[derive(Clone, Copy)]
pub(crate) struct Hangup;

/// Size of the padding that makes a reply too large for any sensible client.
const PADDING: usize = 2 * 1024 * 1024;

/// The number of pieces in which a slow reply is sent.
const PIECES: usize = 10;

/// Builds the response from the reaction, the operation's name and the text of the reply,
/// which is that of the operation or of the fault's error.
pub(super) fn build(reaction: &Reaction, op: &str, reply: String) -> Response {
    match reaction {
        Reaction::None | Reaction::Error(_) => json(Body::from(reply)),
        Reaction::Status {
            status,
            retry_after,
            location,
        } => http_status(*status, *retry_after, location.as_deref()),
        Reaction::Close(Close::Before | Close::After) => hang_up(),
        Reaction::Close(Close::Midway) => midway(&reply),
        Reaction::Slow(time) => json(trickle(reply.as_bytes(), *time)),
        Reaction::Malformed(kind) => malformed(*kind, op, reply),
    }
}

fn json(body: Body) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn hang_up() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Hangup);
    response
}

fn http_status(status: u16, retry_after: Option<Duration>, location: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, format!("{status}, by a fault rule\n")).into_response();
    let headers = response.headers_mut();
    if let Some(wait) = retry_after {
        headers.insert(RETRY_AFTER, seconds(wait).into());
    }
    let location = location.unwrap_or("/elsewhere");
    if status.is_redirection()
        && let Ok(location) = HeaderValue::from_str(location)
    {
        headers.insert(LOCATION, location);
    }
    response
}

fn malformed(kind: Malformed, op: &str, mut reply: String) -> Response {
    let reply = match kind {
        Malformed::Html => {
            let page = "<!doctype html><title>502</title><h1>Bad Gateway</h1>\n";
            return ([(CONTENT_TYPE, "text/html")], page).into_response();
        }
        Malformed::Truncated => {
            reply.truncate(reply.floor_char_boundary(reply.len() / 2));
            reply
        }
        Malformed::Empty => String::new(),
        Malformed::TooLarge => {
            reply.extend(std::iter::repeat_n(' ', PADDING));
            reply
        }
        Malformed::Incomplete => json!({ "op": op, "result": true }).to_string(),
    };
    json(Body::from(reply))
}

/// Half of the reply, and then an error, at which the connection is closed.
fn midway(reply: &str) -> Response {
    let half = Bytes::copy_from_slice(&reply.as_bytes()[..reply.len() / 2]);
    let cut = stream::iter([Ok(half), Err(io::Error::other("closed by a fault rule"))]);
    json(Body::from_stream(cut))
}

/// The reply in pieces, the last of them after `time`.
fn trickle(reply: &[u8], time: Duration) -> Body {
    let size = reply.len().div_ceil(PIECES).max(1);
    let pieces: Vec<Bytes> = reply.chunks(size).map(Bytes::copy_from_slice).collect();
    let count = u32::try_from(pieces.len()).unwrap_or(1).max(1);
    let pieces = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(time / count).await;
        Some((Ok::<_, io::Error>(piece), pieces))
    });
    Body::from_stream(pieces)
}
