//! The body of a response, in the form that its client reads.
//!
//! gRPC-Web is a few lines of our own here and in `translation`. tonic-web stands outside of
//! a service: it would box the body of every request before its memory is counted, gather
//! base64 uncounted, refuse padding in the middle, which clients send that encode frame by
//! frame, and content types with parameters, and answer what it cannot read without details.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;

use super::{
    gzip,
    protocol::{GRPC_ENCODING, GZIP},
    response_body::ResponseBody,
};

/// The flag of the frame with the trailers, gRPC's doc/PROTOCOL-WEB.md.
const TRAILERS: u8 = 0x80;

/// The headers of a response that are its status.
pub(super) const STATUS: [HeaderName; 3] = [
    Status::GRPC_STATUS,
    Status::GRPC_MESSAGE,
    Status::GRPC_STATUS_DETAILS,
];

/// The body of a response.
#[allow(
    clippy::large_enum_variant,
    reason = "the plain one is that of gRPC, which must not take an allocation more"
)]
pub(in crate::server) enum Reply {
    /// None: the request was no call, but a question of a browser.
    Empty,
    /// As the service gives it.
    Plain(ResponseBody),
    /// With other frames.
    Framed(Box<Framed>),
    /// One message.
    Whole(Box<Whole>),
}

/// The frames of gRPC-Web, or with messages that are compressed.
pub(in crate::server) struct Framed {
    body: ResponseBody,
    web: Option<Web>,
    is_gzip: bool,
}

/// What gRPC-Web adds.
struct Web {
    is_text: bool,
    /// The trailers of a response that has nothing else.
    trailers: Option<HeaderMap>,
}

/// One message. What the call takes is given back when it is sent.
pub(in crate::server) struct Whole {
    message: Option<Bytes>,
    _call: ResponseBody,
}

impl Reply {
    /// A response of gRPC.
    pub(super) fn grpc(response: Response<ResponseBody>, is_gzip: bool) -> Response<Self> {
        if !is_gzip || !response.status().is_success() {
            return response.map(Self::Plain);
        }
        framed(response, None, is_gzip)
    }

    /// A response of gRPC-Web.
    pub(super) fn web(
        mut response: Response<ResponseBody>,
        is_text: bool,
        is_gzip: bool,
    ) -> Response<Self> {
        if !response.status().is_success() {
            return response.map(Self::Plain);
        }
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(if is_text {
                "application/grpc-web-text+proto"
            } else {
                "application/grpc-web+proto"
            }),
        );
        // Scripts read no headers of another origin, unless they are named; the body they do.
        let trailers: HeaderMap = STATUS
            .into_iter()
            .filter_map(|name| {
                let value = headers.remove(&name)?;
                Some((name, value))
            })
            .collect();
        let trailers = (!trailers.is_empty()).then_some(trailers);
        let web = Web { is_text, trailers };
        framed(response, Some(web), is_gzip)
    }

    /// One message as the response of a call that is over but for this.
    pub(super) fn whole(message: Bytes, call: ResponseBody) -> Self {
        Self::Whole(Box::new(Whole {
            message: Some(message),
            _call: call,
        }))
    }
}

fn framed(
    mut response: Response<ResponseBody>,
    web: Option<Web>,
    is_gzip: bool,
) -> Response<Reply> {
    if is_gzip {
        let gzip = HeaderValue::from_static(GZIP);
        response.headers_mut().insert(GRPC_ENCODING, gzip);
    }
    response.map(|body| Reply::Framed(Box::new(Framed { body, web, is_gzip })))
}

impl Framed {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(web) = &mut self.web
            && let Some(trailers) = web.trailers.take()
        {
            return Poll::Ready(Some(Ok(web.trailers(&trailers))));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(Ok(match (frame.into_data(), &self.web) {
            (Ok(mut data), web) => {
                if self.is_gzip {
                    data = gzip::deflate_frames(data);
                }
                match web {
                    Some(web) => web.data(data),
                    None => Frame::data(data),
                }
            }
            (Err(frame), Some(web)) => match frame.into_trailers() {
                Ok(trailers) => web.trailers(&trailers),
                Err(frame) => frame,
            },
            (Err(frame), None) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        let trailers = self.web.as_ref().and_then(|web| web.trailers.as_ref());
        trailers.is_none() && self.body.is_end_stream()
    }
}

impl Web {
    fn data(&self, data: Bytes) -> Frame<Bytes> {
        Frame::data(if self.is_text {
            STANDARD.encode(data).into()
        } else {
            data
        })
    }

    /// The frame with the trailers, as lines of HTTP/1.
    fn trailers(&self, trailers: &HeaderMap) -> Frame<Bytes> {
        let mut lines = BytesMut::new();
        for (name, value) in trailers {
            lines.extend_from_slice(name.as_ref());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let mut frame = BytesMut::new();
        frame.put_u8(TRAILERS);
        frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        frame.extend_from_slice(&lines);
        self.data(frame.freeze())
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Plain(body) => Pin::new(body).poll_frame(context),
            Self::Framed(framed) => framed.poll_frame(context),
            Self::Whole(whole) => Poll::Ready(whole.message.take().map(|it| Ok(Frame::data(it)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Plain(body) => body.is_end_stream(),
            Self::Framed(framed) => framed.is_end_stream(),
            Self::Whole(whole) => whole.message.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Plain(body) => body.size_hint(),
            Self::Framed(_) => SizeHint::default(),
            Self::Whole(whole) => {
                let length = whole.message.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
