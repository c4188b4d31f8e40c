//! Makes every status complete, whoever made it.
//!
//! Libraries answer some calls before a handler sees them: an unknown method, a
//! message that is too large or cannot be decoded. Their statuses lack the
//! `ErrorInfo` that every status of the facade carries, and some have another code. Every
//! status gets the id of its call as `google.rpc.RequestInfo`.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use super::request_id::RequestId;
use crate::status::{self, Reason};

/// The layer.
pub(super) async fn layer<F: Future<Output = Response>>(
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    if !is_grpc(request.headers()) {
        // gRPC's doc/PROTOCOL-HTTP2.md wants this status.
        let text = "this port speaks gRPC: the content type must begin with application/grpc\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().cloned();
    let complete = move |headers: &HeaderMap| completed(headers, &path, id.as_ref());
    let response = next(request).await;
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return match complete(response.headers()) {
            Some(status) => status.into_http(),
            None => response,
        };
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                if let Some(status) = complete(&trailers) {
                    // What is there stays if the status cannot be written, which would
                    // take a text that is no header value; texts are escaped.
                    let _ = status.add_header(&mut trailers);
                }
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}

/// What a caller gets of a panic. The log has the rest, by the panic hook.
pub(super) fn of_panic() -> Response {
    status::refuse(
        Code::Internal,
        Reason::InternalPanic,
        "the facade has a defect; its log has more",
    )
    .into_http()
}

/// The complete status in the place of one that is not. None if all is well.
fn completed(headers: &HeaderMap, path: &str, id: Option<&RequestId>) -> Option<Status> {
    let mut status = Status::from_header_map(headers)?;
    if status.code() == Code::Ok {
        return None;
    }
    if !headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        status = status::complete(&status, path);
    }
    Some(match id {
        Some(id) => status::with_request_id(&status, id.as_str()),
        None => status,
    })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
