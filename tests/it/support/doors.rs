//! Every door of the facade, for clients that tonic generated: what they send as gRPC goes
//! through the door in its own form, and comes back as gRPC.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesibo_grpc::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::Value;
use tonic::{Code, Status, body::Body, codegen::StdError};
use tower::Service;

/// How a call is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Grpc,
    Web,
    WebText,
    Json,
    Proto,
}

/// A dialect, and the version of HTTP below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    pub dialect: Dialect,
    pub is_http1: bool,
}

/// Every door.
pub const DOORS: [Door; 9] = [
    door(Dialect::Grpc, false),
    door(Dialect::Web, false),
    door(Dialect::Web, true),
    door(Dialect::WebText, false),
    door(Dialect::WebText, true),
    door(Dialect::Json, false),
    door(Dialect::Json, true),
    door(Dialect::Proto, false),
    door(Dialect::Proto, true),
];

/// The way through a door of a server. Clones share its connections.
#[derive(Clone)]
pub struct Through {
    door: Door,
    server: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

const fn door(dialect: Dialect, is_http1: bool) -> Door {
    Door { dialect, is_http1 }
}

impl Door {
    /// The way through the door of a server.
    pub fn of(self, server: SocketAddr) -> Through {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(!self.is_http1)
            .build(connector);
        Through {
            door: self,
            server,
            client,
        }
    }

    /// Whether it carries the RPC of a path: streams need frames, and those of requests
    /// HTTP/2.
    pub fn carries(self, path: &str) -> bool {
        let has_frames = !matches!(self.dialect, Dialect::Json | Dialect::Proto);
        method(path).is_none_or(|method| {
            let (sends, gets) = (method.is_client_streaming(), method.is_server_streaming());
            (has_frames || !sends && !gets) && !(self.is_http1 && sends)
        })
    }

    pub fn content_type(self) -> &'static str {
        match self.dialect {
            Dialect::Grpc => "application/grpc",
            Dialect::Web => "application/grpc-web+proto",
            Dialect::WebText => "application/grpc-web-text",
            Dialect::Json => "application/json",
            Dialect::Proto => "application/proto",
        }
    }
}

impl Service<Request<Body>> for Through {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Response<Body>, StdError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let through = self.clone();
        Box::pin(through.pass(request))
    }
}

impl Through {
    async fn pass(self, request: Request<Body>) -> Result<Response<Body>, StdError> {
        let Self {
            door,
            server,
            client,
        } = self;
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let method = method(head.uri.path());
        let message = body.get(5..).unwrap_or_default();
        let body: Bytes = match door.dialect {
            Dialect::Grpc | Dialect::Web => body,
            Dialect::WebText => STANDARD.encode(body).into(),
            Dialect::Proto => Bytes::copy_from_slice(message),
            Dialect::Json => {
                let message = DynamicMessage::decode(method.as_ref().unwrap().input(), message)?;
                serde_json::to_vec(&message)?.into()
            }
        };
        head.uri = format!("http://{server}{}", head.uri.path()).parse()?;
        head.version = if door.is_http1 {
            Version::HTTP_11
        } else {
            Version::HTTP_2
        };
        let content_type = HeaderValue::from_static(door.content_type());
        head.headers.insert(CONTENT_TYPE, content_type);
        let is_connect = matches!(door.dialect, Dialect::Json | Dialect::Proto);
        if is_connect && let Some(timeout) = head.headers.remove("grpc-timeout") {
            let timeout = milliseconds(timeout.to_str()?);
            head.headers.insert("connect-timeout-ms", timeout.into());
        }
        let request = Request::from_parts(head, Full::new(body));
        let response = client.request(request).await?;
        if door.dialect == Dialect::Grpc {
            return Ok(response.map(Body::new));
        }
        let (mut head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        head.headers.remove(CONTENT_LENGTH);
        let (data, trailers) = match door.dialect {
            Dialect::Grpc | Dialect::Web => split(&body),
            Dialect::WebText => split(&decode_parts(&body)?.into()),
            _ if !head.status.is_success() => (Bytes::new(), error(head.status.as_u16(), &body)),
            Dialect::Proto => (framed(&body), fine(&mut head.headers)),
            Dialect::Json => {
                let mut text = serde_json::Deserializer::from_slice(&body);
                let output = method.unwrap().output();
                let message = DynamicMessage::deserialize(output, &mut text)?;
                (framed(&message.encode_to_vec()), fine(&mut head.headers))
            }
        };
        head.status = http::StatusCode::OK;
        let grpc = HeaderValue::from_static("application/grpc");
        head.headers.insert(CONTENT_TYPE, grpc);
        let frames = [
            Ok::<_, Status>(Frame::data(data)),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(tokio_stream::iter(frames));
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

fn method(path: &str) -> Option<MethodDescriptor> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let service = pool.get_service_by_name(service)?;
    service.methods().find(|it| it.name() == method)
}

/// A `grpc-timeout` in milliseconds. What is none stays as it is not.
fn milliseconds(timeout: &str) -> u64 {
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "H" => number * 3_600_000,
        "M" => number * 60_000,
        "S" => number * 1000,
        "m" => number,
        "u" => number / 1000,
        _ => number / 1_000_000,
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// The messages of a response of gRPC-Web, and the trailers behind them.
fn split(body: &Bytes) -> (Bytes, HeaderMap) {
    let mut end = 0;
    while body[end] & 0x80 == 0 {
        let length = body[end + 1..end + 5].try_into().unwrap();
        end += 5 + u32::from_be_bytes(length) as usize;
    }
    let length = u32::from_be_bytes(body[end + 1..end + 5].try_into().unwrap());
    let lines = &body[end + 5..];
    assert_eq!(lines.len(), length as usize, "the trailers are the end");
    let lines = std::str::from_utf8(lines).unwrap().lines();
    let trailers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
    });
    (body.slice(..end), trailers.collect())
}

/// Decodes base64 whose parts have padding of their own.
fn decode_parts(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let mut decoded = Vec::new();
    let quads: Vec<_> = text.chunks(4).collect();
    for part in quads.split_inclusive(|quad| quad.ends_with(b"=")) {
        decoded.extend(STANDARD.decode(part.concat())?);
    }
    Ok(decoded)
}

/// The trailers of a call of Connect that went well.
fn fine(headers: &mut HeaderMap) -> HeaderMap {
    let names: Vec<_> = headers.keys().cloned().collect();
    let mut trailers = HeaderMap::new();
    for name in names {
        if let Some(trailer) = name.as_str().strip_prefix("trailer-") {
            let value = headers.remove(&name).unwrap();
            trailers.insert(trailer.parse::<HeaderName>().unwrap(), value);
        }
    }
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

/// The codes of Connect, each with its HTTP status.
const CODES: [(&str, Code, u16); 16] = [
    ("canceled", Code::Cancelled, 499),
    ("unknown", Code::Unknown, 500),
    ("invalid_argument", Code::InvalidArgument, 400),
    ("deadline_exceeded", Code::DeadlineExceeded, 504),
    ("not_found", Code::NotFound, 404),
    ("already_exists", Code::AlreadyExists, 409),
    ("permission_denied", Code::PermissionDenied, 403),
    ("resource_exhausted", Code::ResourceExhausted, 429),
    ("failed_precondition", Code::FailedPrecondition, 400),
    ("aborted", Code::Aborted, 409),
    ("out_of_range", Code::OutOfRange, 400),
    ("unimplemented", Code::Unimplemented, 501),
    ("internal", Code::Internal, 500),
    ("unavailable", Code::Unavailable, 503),
    ("data_loss", Code::DataLoss, 500),
    ("unauthenticated", Code::Unauthenticated, 401),
];

/// The trailers of a call of Connect that failed.
fn error(http_status: u16, body: &[u8]) -> HeaderMap {
    let error: Value = serde_json::from_slice(body)
        .unwrap_or_else(|_| panic!("{http_status}: {}", String::from_utf8_lossy(body)));
    let (_, code, expected) = CODES
        .into_iter()
        .find(|(name, ..)| error["code"] == *name)
        .unwrap();
    assert_eq!(http_status, expected, "{error}");
    let message = error["message"].as_str().unwrap();
    let details = error["details"].as_array().into_iter().flatten();
    let details = details.map(|detail| {
        let type_name = detail["type"].as_str().unwrap();
        assert!(!detail["debug"].is_null(), "{detail}");
        prost_types::Any {
            type_url: format!("type.googleapis.com/{type_name}"),
            value: STANDARD_NO_PAD
                .decode(detail["value"].as_str().unwrap())
                .unwrap(),
        }
    });
    let status = tonic_types::Status {
        code: code as i32,
        message: message.to_owned(),
        details: details.collect(),
    };
    let status = Status::with_details(code, message, status.encode_to_vec().into());
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).unwrap();
    trailers
}
