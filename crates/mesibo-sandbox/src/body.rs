//! The body of a request, and whether it is a form.

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

/// The most bytes that a body may have. A message of 1 MiB has 3 MiB when each of
/// its bytes is percent-encoded.
pub(super) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The most bytes of a body that are read at all.
const READ_LIMIT: usize = 8 * BODY_LIMIT;

/// The media type of a body that holds parameters.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a body.
///
/// One that is too large is read on, within reason, and thrown away: a connection
/// that is closed while its peer still writes is reset, and the peer would find a
/// broken pipe where the status should be.
pub(super) async fn read(mut body: Body) -> Result<Vec<u8>, StatusCode> {
    let mut kept = Vec::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let data = frame.into_data().unwrap_or_default();
        size += data.len();
        if size <= BODY_LIMIT {
            kept.extend_from_slice(&data);
        } else if size > READ_LIMIT {
            break;
        }
    }
    if size > BODY_LIMIT {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    Ok(kept)
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(FORM))
}
