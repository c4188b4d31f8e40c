//! The ways in which parameters arrive.

use std::convert::Infallible;

use bytes::Bytes;
use form_urlencoded::parse;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method};
use mime::Mime;
use multer::Multipart;
use serde::Serialize;

use super::json;
use super::params::{MAX_PARAMETERS, Params};

/// How the parameters of a request were encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dialect {
    /// In the query alone.
    Query,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// `application/json`.
    Json,
    /// A body of a media type that holds no parameters.
    Unknown,
    /// A body that is not what its media type says.
    Malformed,
}

/// Reads the parameters of a request: those of the query first, so that those of the
/// body win. Only a POST has a body that counts.
pub(crate) async fn read(head: &Parts, body: Bytes) -> (Params, Dialect) {
    let query = head.uri.query().unwrap_or_default();
    let query = parse(query.as_bytes()).into_owned();
    let mut pairs: Vec<_> = query.take(MAX_PARAMETERS).collect();
    if head.method != Method::POST || body.is_empty() {
        return (Params::new(pairs), Dialect::Query);
    }
    let (dialect, read) = in_body(&head.headers, body).await;
    let dialect = match read {
        Some(read) => {
            pairs.extend(read.into_iter().take(MAX_PARAMETERS));
            dialect
        }
        None => Dialect::Malformed,
    };
    (Params::new(pairs), dialect)
}

/// The media type of a request's body, if it has a readable one.
fn media_type(headers: &HeaderMap) -> Option<Mime> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.parse().ok()
}

async fn in_body(headers: &HeaderMap, body: Bytes) -> (Dialect, Option<Vec<(String, String)>>) {
    let Some(media) = media_type(headers) else {
        return (Dialect::Unknown, Some(Vec::new()));
    };
    match media.essence_str() {
        "application/x-www-form-urlencoded" => {
            let pairs = parse(&body).into_owned().take(MAX_PARAMETERS).collect();
            (Dialect::Form, Some(pairs))
        }
        "multipart/form-data" => (Dialect::Multipart, multipart(&media, body).await),
        "application/json" => (Dialect::Json, json::parameters(&body)),
        _ => (Dialect::Unknown, Some(Vec::new())),
    }
}

async fn multipart(media: &Mime, body: Bytes) -> Option<Vec<(String, String)>> {
    let boundary = media.get_param(mime::BOUNDARY)?;
    let body = stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = Multipart::new(body, boundary.as_str());
    let mut pairs = Vec::new();
    while let Some(part) = parts.next_field().await.ok()? {
        let Some(name) = part.name().map(str::to_owned) else {
            continue;
        };
        let value = part.bytes().await.ok()?;
        if pairs.len() < MAX_PARAMETERS {
            pairs.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
    }
    Some(pairs)
}
