//! Responses of Connect: one message, or an error in JSON, as
//! <https://connectrpc.com/docs/protocol> has them.

use std::pin::Pin;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE},
    response::Parts,
};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{RpcStatusExt as _, Status as RpcStatus};

use super::{
    gzip, json,
    messages::PREFIX,
    protocol::{Codec, GZIP},
    reply::{Reply, STATUS},
    response_body::ResponseBody,
};
use crate::call::Policy;

/// Makes a response of Connect of one of gRPC, whose status is at its end.
pub(super) async fn respond(
    response: Response<ResponseBody>,
    codec: Codec,
    policy: Option<&'static Policy>,
    is_gzip: bool,
) -> Response<Reply> {
    // A line of text, to what is no call.
    if !response.status().is_success() {
        return response.map(Reply::Plain);
    }
    let (mut head, mut call) = response.into_parts();
    let (message, trailers) = gather(Pin::new(&mut call)).await;
    let status = Status::from_header_map(&head.headers)
        .or_else(|| Status::from_header_map(&trailers))
        .unwrap_or_else(|| Status::internal("the response has no end"));
    for name in STATUS {
        head.headers.remove(name);
    }
    let types = policy.and_then(json::Types::of);
    let body = match (codec, types) {
        _ if status.code() != Code::Ok => None,
        (Codec::Json, Some(types)) => json::write(&types.response, message),
        (Codec::Json, None) => None,
        (Codec::Proto, _) => Some(message.into()),
    };
    for (name, value) in &trailers {
        // None is longer than a header name may be.
        if !STATUS.contains(name)
            && let Ok(name) = HeaderName::try_from(format!("trailer-{name}"))
        {
            head.headers.append(name, value.clone());
        }
    }
    let body: Bytes = match body {
        Some(message) => {
            head.headers.insert(CONTENT_TYPE, codec.content_type());
            compress(message, is_gzip, &mut head.headers)
        }
        None => fail(&status, policy.is_some(), &mut head).into(),
    };
    Response::from_parts(head, Reply::whole(body, call))
}

/// Gathers the message of a response, without its frame, and the trailers.
async fn gather(mut body: Pin<&mut ResponseBody>) -> (Bytes, HeaderMap) {
    let (mut message, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => message.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = frame.into_trailers().unwrap_or_default(),
            Err(status) => {
                // The text of a status is escaped, so that it is a header value.
                let _ = status.add_header(&mut trailers);
            }
        }
    }
    let message = message.split_off(PREFIX.min(message.len()));
    (message.freeze(), trailers)
}

fn compress(message: Vec<u8>, is_gzip: bool, headers: &mut HeaderMap) -> Bytes {
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    let compressed = is_gzip.then(|| gzip::deflate(&message)).flatten();
    match compressed {
        Some(compressed) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(GZIP));
            compressed.into()
        }
        None => message.into(),
    }
}

/// The error in JSON of a call that failed. `is_known` says that there is such an RPC.
fn fail(status: &Status, is_known: bool, head: &mut Parts) -> Vec<u8> {
    let (code, http_status) = match status.code() {
        // A client that does not speak Connect knows what it is.
        Code::Unimplemented if !is_known => ("unimplemented", 404),
        // There is no OK here: a response of that code that is no message is a defect.
        Code::Ok | Code::Internal => ("internal", 500),
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    };
    head.status = StatusCode::from_u16(http_status).unwrap_or_default();
    let headers = &mut head.headers;
    headers.insert(CONTENT_TYPE, Codec::Json.content_type());
    if status.code() == Code::Unauthenticated {
        // RFC 9110, section 11.6.1, wants it.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let details = RpcStatus::decode(status.details()).unwrap_or_default();
    if let Some(delay) = retry_delay(&details) {
        headers.insert(RETRY_AFTER, delay.into());
    }
    let message = Value::from(status.message());
    let details: Value = details.details.iter().map(detail).collect();
    // In the order in which people read it, which a map does not keep.
    format!(r#"{{"code":"{code}","message":{message},"details":{details}}}"#).into_bytes()
}

/// The delay of `RetryInfo` in whole seconds, as HTTP's clients read it.
fn retry_delay(status: &RpcStatus) -> Option<u64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    Some(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
}

/// A detail: its bytes for programs, and itself for people.
fn detail(detail: &prost_types::Any) -> Value {
    let mut value = json!({
        "type": json::type_name(&detail.type_url),
        "value": STANDARD_NO_PAD.encode(&detail.value),
    });
    if let Some(shown) = json::show(&detail.type_url, &detail.value) {
        value["debug"] = shown;
    }
    value
}
