//! Requests of other forms, made into what gRPC's own requests are: frames with a flag and
//! a length, not compressed. Those need none of this.

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::SizeHint;
use prost::Message as _;
use prost_reflect::MessageDescriptor;
use tonic::Code;

use super::{
    gzip, json,
    messages::PREFIX,
    protocol::{Codec, Form, GRPC_ENCODING, GZIP},
    terms::{HighWater, Terms},
};
use crate::{
    call::Policy,
    status::{self, BASE64, Draft, Reason},
};

/// The version of Connect's protocol that a client speaks.
const CONNECT_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");

/// A request of another form, on its way to become one of gRPC.
pub(super) enum Translation {
    Unary(Unary),
    Frames(Frames),
}

/// A request of Connect: one message is the body.
pub(super) struct Unary {
    /// The type of a message in JSON.
    json: Option<MessageDescriptor>,
    is_gzip: bool,
    body: Vec<u8>,
    counted: HighWater,
    is_over: bool,
}

/// Frames that are in base64, or have messages compressed by gzip.
pub(super) struct Frames {
    text: Option<Text>,
    is_gzip: bool,
    /// What has arrived and was not handed on.
    arrived: BytesMut,
    /// How much of a frame is still to be handed on as it is.
    passing: usize,
    /// The memory of a compressed message, and of what it becomes.
    compressed: HighWater,
    inflated: HighWater,
}

/// The characters of base64 that do not make bytes yet.
#[derive(Default)]
struct Text(Vec<u8>);

impl Translation {
    /// What makes a request of gRPC of one of this form, whose headers become those of gRPC.
    /// `None` if the body of that is the same.
    pub(super) fn of(
        form: Form,
        policy: &Policy,
        headers: &mut HeaderMap,
    ) -> Result<Option<Self>, Draft> {
        let Form::Connect(codec) = form else {
            let is_gzip = headers.get(GRPC_ENCODING).is_some_and(|it| it == GZIP);
            let is_text = form == Form::Web { is_text: true };
            if !is_gzip && !is_text {
                return Ok(None);
            }
            if is_gzip {
                headers.remove(GRPC_ENCODING);
            }
            return Ok(Some(Self::Frames(Frames {
                text: is_text.then(Text::default),
                is_gzip,
                arrived: BytesMut::new(),
                passing: 0,
                compressed: HighWater::default(),
                inflated: HighWater::default(),
            })));
        };
        if headers.get(CONNECT_VERSION).is_some_and(|it| it != "1") {
            let text = "connect-protocol-version must be 1";
            let reason = Reason::MalformedRequest;
            return Err(status::refuse(Code::InvalidArgument, reason, text));
        }
        let is_gzip = match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => return Err(status::unsupported_encoding("accept-encoding")),
        };
        let types = json::Types::of(policy);
        let types = types.ok_or_else(|| status::unknown_method(policy.name()))?;
        headers.remove(CONTENT_LENGTH);
        let grpc = HeaderValue::from_static("application/grpc");
        headers.insert(CONTENT_TYPE, grpc);
        Ok(Some(Self::Unary(Unary {
            json: (codec == Codec::Json).then(|| types.request.clone()),
            is_gzip,
            body: Vec::new(),
            counted: HighWater::default(),
            is_over: false,
        })))
    }

    /// Takes what has arrived. `rest` is what is known of how much of the body is to come.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        rest: &SizeHint,
        terms: &Terms,
    ) -> Result<(), Draft> {
        match self {
            Self::Unary(unary) => unary.push(data, rest, terms),
            Self::Frames(frames) => frames.push(data),
        }
    }

    /// What can be handed on of what has arrived.
    pub(super) fn next(&mut self, terms: &Terms) -> Result<Option<Bytes>, Draft> {
        match self {
            Self::Unary(_) => Ok(None),
            Self::Frames(frames) => frames.next(terms),
        }
    }

    /// What can be handed on at the end of the body.
    pub(super) fn end(&mut self, terms: &Terms) -> Result<Option<Bytes>, Draft> {
        match self {
            Self::Unary(unary) => unary.end(terms),
            Self::Frames(frames) => frames.end(),
        }
    }

    /// Whether what has arrived was handed on.
    pub(super) fn is_between(&self) -> bool {
        match self {
            Self::Unary(unary) => unary.is_over,
            Self::Frames(frames) => frames.arrived.is_empty(),
        }
    }
}

impl Unary {
    fn push(&mut self, data: &[u8], rest: &SizeHint, terms: &Terms) -> Result<(), Draft> {
        let length = self.body.len() + data.len();
        let whole = rest.exact().and_then(|rest| usize::try_from(rest).ok());
        let whole = whole.and_then(|rest| rest.checked_add(length));
        if whole.unwrap_or(length) > terms.max_bytes {
            return Err(terms.too_large(whole));
        }
        if length > self.body.capacity() {
            let doubled = (2 * self.body.capacity()).clamp(length, terms.max_bytes);
            let capacity = whole.unwrap_or(doubled);
            self.counted.reach(capacity, terms)?;
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    /// The frame with the message.
    fn end(&mut self, terms: &Terms) -> Result<Option<Bytes>, Draft> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        let mut body = std::mem::take(&mut self.body);
        // A call without a body has the empty message, whatever its encoding says.
        if self.is_gzip && !body.is_empty() {
            body = gzip::inflate(&body, 0, terms, &mut HighWater::default())?;
        }
        // The frame. What tonic makes of it is counted where it is handed on.
        let mut frame = HighWater::default();
        frame.reach(body.len(), terms)?;
        let Some(descriptor) = &self.json else {
            return Ok(Some(framed(body.len(), |frame| {
                frame.extend_from_slice(&body);
            })));
        };
        HighWater::default().reach(json::overhead(&body)?, terms)?;
        let message = json::read(descriptor, &body)?;
        drop(body);
        Ok(Some(framed(message.encoded_len(), |frame| {
            message.encode_raw(frame);
        })))
    }
}

impl Frames {
    fn push(&mut self, data: &[u8]) -> Result<(), Draft> {
        match &mut self.text {
            None => self.arrived.extend_from_slice(data),
            Some(text) => text.decode(data, &mut self.arrived)?,
        }
        Ok(())
    }

    fn next(&mut self, terms: &Terms) -> Result<Option<Bytes>, Draft> {
        if !self.is_gzip {
            let arrived = self.arrived.split().freeze();
            return Ok((!arrived.is_empty()).then_some(arrived));
        }
        if self.passing == 0 {
            let Some((&[flag, ref length @ ..], _)) = self.arrived.split_first_chunk::<PREFIX>()
            else {
                return Ok(None);
            };
            let length = u32::from_be_bytes(*length) as usize;
            if flag != 1 {
                self.passing = PREFIX + length;
            } else if length > terms.max_bytes {
                return Err(terms.too_large(Some(length)));
            } else {
                return self.inflate(PREFIX + length, terms);
            }
        }
        let count = self.passing.min(self.arrived.len());
        self.passing -= count;
        let passed = self.arrived.split_to(count).freeze();
        Ok((!passed.is_empty()).then_some(passed))
    }

    /// The frame with what a compressed message becomes, once that has arrived.
    fn inflate(&mut self, frame: usize, terms: &Terms) -> Result<Option<Bytes>, Draft> {
        self.compressed.reach(frame, terms)?;
        if self.arrived.len() < frame {
            self.arrived.reserve(frame - self.arrived.len());
            return Ok(None);
        }
        let compressed = self.arrived.split_to(frame);
        let compressed = &compressed[PREFIX..];
        let mut message = gzip::inflate(compressed, PREFIX, terms, &mut self.inflated)?;
        let length = u32::try_from(message.len() - PREFIX).unwrap_or(u32::MAX);
        message[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        Ok(Some(message.into()))
    }

    /// A frame without its end, for tonic to refuse.
    fn end(&mut self) -> Result<Option<Bytes>, Draft> {
        if let Some(text) = &mut self.text {
            text.end(&mut self.arrived)?;
        }
        let mut rest = self.arrived.split();
        if self.is_gzip
            && self.passing == 0
            && let Some(flag) = rest.first_mut()
        {
            *flag = 0;
        }
        Ok((!rest.is_empty()).then(|| rest.freeze()))
    }
}

impl Text {
    /// Decodes what has arrived. Each part of a stream may have its padding.
    fn decode(&mut self, data: &[u8], decoded: &mut BytesMut) -> Result<(), Draft> {
        self.0.extend_from_slice(data);
        let whole = self.0.len() / 4 * 4;
        let mut start = 0;
        for end in (4..=whole).step_by(4) {
            if self.0[end - 1] == b'=' || end == whole {
                decode(&self.0[start..end], decoded)?;
                start = end;
            }
        }
        self.0.drain(..whole);
        Ok(())
    }

    fn end(&mut self, decoded: &mut BytesMut) -> Result<(), Draft> {
        decode(&std::mem::take(&mut self.0), decoded)
    }
}

fn decode(text: &[u8], decoded: &mut BytesMut) -> Result<(), Draft> {
    let bytes = BASE64.decode(text).map_err(|_| {
        let text = "the body of application/grpc-web-text must be base64";
        status::refuse(Code::InvalidArgument, Reason::MalformedRequest, text)
    })?;
    decoded.extend_from_slice(&bytes);
    Ok(())
}

/// A frame with a message of so many bytes.
fn framed(length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX + length);
    frame.push(0);
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_be_bytes());
    write(&mut frame);
    frame.into()
}
