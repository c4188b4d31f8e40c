//! An HTTP/2 peer that sends and sees every frame, and does nothing by itself: what
//! well-behaved libraries hide, and what ill-behaved peers do.

use std::{collections::HashMap, net::SocketAddr};

use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::HealthCheckRequest;

use super::facade::soon;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// What a client says before its first frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection to a server.
pub struct Peer<S = TcpStream> {
    stream: S,
    next_stream: u32,
}

/// A frame, RFC 9113, section 4.1.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// The headers of a gRPC call to the server.
    pub fn headers(stream: u32, flags: u8, path: &str) -> Self {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let block = fields.map(|(name, value)| header(name, value)).concat();
        Self::new(HEADERS, flags, stream, block)
    }

    /// A gRPC message, and the end of the stream.
    pub fn message(stream: u32, message: &impl Message) -> Self {
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let payload = [&[0], &length[..], &message].concat();
        Self::new(DATA, END_STREAM, stream, payload)
    }

    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// The next frame, or none if the connection is closed.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        let stream = number(&head[5..]);
        Some(Self::new(head[3], head[4], stream, payload))
    }

    /// The end of a connection, with no stream beyond `last` looked at.
    pub fn go_away(last: u32, code: u32) -> Self {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        Self::new(GOAWAY, 0, 0, payload)
    }

    /// So many more bytes for a stream, or with 0 for the connection.
    pub fn window_update(stream: u32, bytes: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
    }

    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let stream = self.stream.to_be_bytes();
        [
            &length[1..],
            &[self.kind, self.flags],
            &stream,
            &self.payload,
        ]
        .concat()
    }

    /// The error code of a `RST_STREAM` or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        number(&self.payload[at..])
    }

    /// The settings of a SETTINGS, by their identifiers.
    pub fn settings(&self) -> HashMap<u16, u32> {
        self.payload
            .chunks(6)
            .map(|setting| {
                let id = u16::from_be_bytes(setting[..2].try_into().unwrap());
                (id, number(&setting[2..]))
            })
            .collect()
    }
}

/// A header in HPACK: literal, never indexed, without Huffman codes.
pub fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "longer texts need a longer length");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0x10], text(name), text(value)].concat()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Peer {
    /// Connects, and says what a client says first.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Says over a connection what a client says first.
    pub async fn over(mut stream: S) -> Self {
        let settings = Frame::new(SETTINGS, 0, 0, []).encode();
        let hello = [PREFACE, &settings[..]].concat();
        // A server that closes at once is part of the tests.
        let _ = stream.write_all(&hello).await;
        Self {
            stream,
            next_stream: 1,
        }
    }

    /// Sends frames, unless the server closed the connection.
    pub async fn send(&mut self, frames: &[Frame]) -> bool {
        let bytes: Vec<_> = frames.iter().flat_map(Frame::encode).collect();
        self.stream.write_all(&bytes).await.is_ok()
    }

    /// Begins to watch health, a call that never ends by itself, and gives its stream.
    pub async fn watch(&mut self) -> u32 {
        let request = HealthCheckRequest::default();
        self.call("/grpc.health.v1.Health/Watch", &request).await
    }

    /// Makes a call, and gives its stream.
    pub async fn call(&mut self, path: &str, message: &impl Message) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = Frame::headers(stream, END_HEADERS, path);
        self.send(&[headers, Frame::message(stream, message)]).await;
        stream
    }

    /// The next frame, or none if the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        Frame::read(&mut self.stream).await
    }

    /// The next frame that `wanted` describes.
    pub async fn expect(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let find = async {
            loop {
                let frame = self.next().await.expect("the connection is open");
                if wanted(&frame) {
                    return frame;
                }
            }
        };
        soon(find).await
    }

    /// The next frame of a kind that is no acknowledgement.
    pub async fn expect_kind(&mut self, kind: u8) -> Frame {
        let acknowledges =
            |frame: &Frame| matches!(kind, SETTINGS | PING) && frame.flags & ACK != 0;
        self.expect(|frame| frame.kind == kind && !acknowledges(frame))
            .await
    }

    /// Answers pings until the connection is closed, and gives what came by then.
    pub async fn until_closed(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let drain = async {
            while let Some(frame) = self.next().await {
                if frame.kind == PING && frame.flags & ACK == 0 {
                    let pong = Frame::new(PING, ACK, 0, frame.payload.clone());
                    self.send(&[pong]).await;
                }
                frames.push(frame);
            }
        };
        soon(drain).await;
        frames
    }

    /// Answers nothing until the connection is closed.
    pub async fn until_cut_off(&mut self) {
        let drain = async { while self.next().await.is_some() {} };
        soon(drain).await;
    }
}
