//! What is a call, and how it is spoken: gRPC as its doc/PROTOCOL-HTTP2.md has it, gRPC-Web
//! as its doc/PROTOCOL-WEB.md, and Connect's protocol of unary calls
//! (<https://connectrpc.com/docs/protocol>), but for GET. A request that only looks like
//! one would be carried out for a client that cannot read the answer, and repeats it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, UPGRADE},
};
use tonic::body::Body;

use crate::{
    call::Policy,
    server::config::{Dialect, Doors},
};

/// The encoding of a gRPC message that is compressed.
pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The encodings that a gRPC client reads.
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The only encoding besides `identity`, RFC 9110, section 8.4.1.3.
pub(super) const GZIP: &str = "gzip";

/// The content types that a resource takes by POST, which is a header of refusals.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The media types of requests, and what they stand for.
const FORMS: [(&str, Form); 8] = [
    ("application/grpc", Form::Grpc),
    ("application/grpc+proto", Form::Grpc),
    ("application/grpc-web", Form::Web { is_text: false }),
    ("application/grpc-web+proto", Form::Web { is_text: false }),
    ("application/grpc-web-text", Form::Web { is_text: true }),
    (
        "application/grpc-web-text+proto",
        Form::Web { is_text: true },
    ),
    ("application/json", Form::Connect(Codec::Json)),
    ("application/proto", Form::Connect(Codec::Proto)),
];

/// The form of a request and of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// gRPC's own frames.
    Grpc,
    /// The same, and the trailers as the last of them.
    Web {
        /// Whether all is in base64.
        is_text: bool,
    },
    /// One message as the body.
    Connect(Codec),
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Proto,
}

impl Form {
    /// The form of a request with these headers. `None` if it has none, for the only content
    /// type has to be one of [`FORMS`]. It may have parameters, and its case does not matter,
    /// RFC 9110, section 8.3.1.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let media_type = value.as_bytes().split(|&byte| byte == b';').next();
        let media_type = media_type.unwrap_or_default().trim_ascii();
        let mut forms = FORMS.into_iter();
        forms
            .find(|(name, _)| media_type.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, form)| form)
    }

    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Grpc => Dialect::Grpc,
            Self::Web { .. } => Dialect::GrpcWeb,
            Self::Connect(_) => Dialect::Connect,
        }
    }

    /// Whether a client wants responses compressed. One of gRPC announces by every call what
    /// it could read, so it asks for it by compressing its own messages, as with grpc-go.
    pub(super) fn wants_gzip(self, headers: &HeaderMap) -> bool {
        match self {
            Self::Grpc | Self::Web { .. } => {
                headers
                    .get(GRPC_ENCODING)
                    .is_some_and(|encoding| encoding == GZIP)
                    && lists_gzip(headers, &GRPC_ACCEPT_ENCODING)
            }
            Self::Connect(_) => lists_gzip(headers, &ACCEPT_ENCODING),
        }
    }
}

impl Codec {
    /// The content type of a response.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
        })
    }
}

/// Whether a list of encodings has gzip with a weight above zero, RFC 9110, section 12.5.3.
fn lists_gzip(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(name).iter();
    let mut encodings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    encodings.any(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case(GZIP)
            && weight.parse().is_ok_and(|weight: f32| weight > 0.0)
    })
}

/// The response to a request that is no call. `None` if it is one.
pub(super) fn refuse<B>(
    request: &Request<B>,
    form: Option<Form>,
    policy: Option<&Policy>,
    doors: &Doors,
) -> Option<Response<Body>> {
    let port = format_args!("this port speaks {}", spoken(doors));
    if request.method() != Method::POST {
        let mut response = line(
            request.method(),
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{port}: the method must be POST"),
        );
        let allow = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, allow);
        return Some(response);
    }
    let Some(form) = form.filter(|form| doors.speaks(form.dialect())) else {
        let types = media_types(doors);
        let text = format!("{port}: the content type must be one of {types}");
        let mut response = line(request.method(), StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        if let Ok(types) = HeaderValue::try_from(types) {
            response.headers_mut().insert(ACCEPT_POST, types);
        }
        return Some(response);
    };
    let sends_stream = policy.is_some_and(|policy| policy.is_client_streaming);
    if request.version() < Version::HTTP_2 && (form == Form::Grpc || sends_stream) {
        let what = if form == Form::Grpc {
            "gRPC"
        } else {
            "a stream of requests"
        };
        let text = format!("{what} needs HTTP/2; HTTP/1.1 is for gRPC-Web and Connect");
        let mut response = line(request.method(), StatusCode::UPGRADE_REQUIRED, text);
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("h2c"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
        return Some(response);
    }
    let is_stream = policy.is_some_and(|policy| policy.is_streaming);
    (form.dialect() == Dialect::Connect && is_stream).then(|| {
        let text = "this RPC is a stream, which this port speaks gRPC and gRPC-Web for".into();
        line(request.method(), StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    })
}

/// A response with one line of text.
pub(super) fn line(method: &Method, status: StatusCode, mut text: String) -> Response<Body> {
    // RFC 9110, section 9.3.2: no response to HEAD has a body.
    if method == Method::HEAD {
        text.clear();
    } else {
        text.push('\n');
    }
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = status;
    let text_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text_type);
    response
}

/// The dialects of a port, for people.
fn spoken(doors: &Doors) -> String {
    let names = doors.protocols.iter().map(|dialect| match dialect {
        Dialect::Grpc => "gRPC",
        Dialect::GrpcWeb => "gRPC-Web",
        Dialect::Connect => "Connect",
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The media types that requests may have.
fn media_types(doors: &Doors) -> String {
    let forms = FORMS.into_iter();
    let spoken = forms.filter(|(_, form)| doors.speaks(form.dialect()));
    let names = spoken.map(|(name, _)| name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_content_type_with_parameters_in_any_case() {
        let form = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            Form::of(&values.map(|value| (CONTENT_TYPE, value)).collect())
        };
        for (text, expected) in [
            ("application/grpc", Form::Grpc),
            ("application/grpc+proto", Form::Grpc),
            ("Application/GRPC+Proto", Form::Grpc),
            ("application/grpc;charset=utf-8", Form::Grpc),
            ("application/grpc ; a=b; c=d", Form::Grpc),
            ("application/grpc-web", Form::Web { is_text: false }),
            (
                "application/grpc-web-text+proto",
                Form::Web { is_text: true },
            ),
            (
                "application/json; charset=utf-8",
                Form::Connect(Codec::Json),
            ),
            ("application/proto", Form::Connect(Codec::Proto)),
        ] {
            assert_eq!(form(&[text]), Some(expected), "{text}");
        }
        for other in [
            "",
            ";",
            "text/json",
            "application/grpcfoo",
            "application/grpc+json",
            "application/grpc+proto2",
            "application/grpc-web+json",
            "application/connect+json",
            "application/jsonp",
            "application/grpc, application/grpc",
            "xapplication/grpc",
        ] {
            assert_eq!(form(&[other]), None, "{other}");
        }
        assert_eq!(form(&[]), None);
        assert_eq!(form(&["application/grpc", "application/grpc"]), None);
    }

    #[test]
    fn gzip_is_asked_for_by_a_weight_above_zero_and_in_grpc_by_its_use() {
        let wants = |form: Form, headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                let value = HeaderValue::from_static(value);
                (name.clone(), value)
            });
            form.wants_gzip(&headers.collect())
        };
        let connect = Form::Connect(Codec::Json);
        for yes in ["gzip", "br, GZIP", "gzip;q=0.5", "br;q=1, gzip ; q=0.1"] {
            assert!(wants(connect, &[(ACCEPT_ENCODING, yes)]), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.000", "xgzip", "gzip;q=x"] {
            assert!(!wants(connect, &[(ACCEPT_ENCODING, no)]), "{no}");
        }
        let accepts = (GRPC_ACCEPT_ENCODING, "identity,deflate,gzip");
        assert!(!wants(Form::Grpc, std::slice::from_ref(&accepts)));
        assert!(!wants(Form::Grpc, &[(GRPC_ENCODING, GZIP)]));
        assert!(wants(Form::Grpc, &[(GRPC_ENCODING, GZIP), accepts]));
    }
}
