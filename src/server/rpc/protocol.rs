//! What is a gRPC call, as gRPC's doc/PROTOCOL-HTTP2.md has it. A request that only looks
//! like one would be carried out for a client that cannot read the answer, and repeats it.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use tonic::body::Body;

/// The content types of a gRPC request whose messages are Protocol Buffers.
const CONTENT_TYPES: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];

/// The response to a request that is no gRPC call. `None` if it is one.
pub(super) fn refuse<B>(request: &Request<B>) -> Option<Response<Body>> {
    if request.method() != Method::POST {
        let text = "this port speaks gRPC: the method must be POST\n";
        // RFC 9110, section 9.3.2: no response to HEAD has a body.
        let text = if request.method() == Method::HEAD {
            ""
        } else {
            text
        };
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, text);
        let allow = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, allow);
        return Some(response);
    }
    if !has_grpc_type(request.headers()) {
        let text = "this port speaks gRPC: the content type must be application/grpc or \
                    application/grpc+proto\n";
        return Some(response(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    None
}

/// Whether the only content type is one of gRPC. It may have parameters, and its case does
/// not matter, RFC 9110, section 8.3.1.
fn has_grpc_type(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let media_type = value.as_bytes().split(|&byte| byte == b';').next();
    let media_type = media_type.unwrap_or_default().trim_ascii();
    CONTENT_TYPES
        .iter()
        .any(|grpc| media_type.eq_ignore_ascii_case(grpc))
}

fn response(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(text.to_owned()));
    *response.status_mut() = status;
    let text_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_has_two_content_types_with_parameters_in_any_case() {
        let is_grpc = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            has_grpc_type(&values.map(|value| (CONTENT_TYPE, value)).collect())
        };
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC+Proto",
            "application/grpc;charset=utf-8",
            "application/grpc ; a=b; c=d",
        ] {
            assert!(is_grpc(&[grpc]), "{grpc}");
        }
        for other in [
            "",
            ";",
            "application/json",
            "application/grpcfoo",
            "application/grpc+json",
            "application/grpc+proto2",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc, application/grpc",
            "xapplication/grpc",
        ] {
            assert!(!is_grpc(&[other]), "{other}");
        }
        assert!(!is_grpc(&[]));
        assert!(!is_grpc(&["application/grpc", "application/grpc"]));
    }
}
