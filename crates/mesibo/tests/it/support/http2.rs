//! A server of HTTP/2 that sends and sees every frame, and does nothing by itself but
//! acknowledge settings and answer pings: what well-behaved libraries hide, and what
//! ill-behaved peers do.

use std::{
    collections::HashMap, future::poll_fn, net::SocketAddr, pin::pin, task::Poll, time::Duration,
};

use mesibo::{Client, Config, Observer, Protocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::TOKEN;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

/// The identifiers of settings.
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// `:status: 200` and `:status: 103` in HPACK.
pub(crate) const OK: &[u8] = &[0x88];
pub(crate) const EARLY_HINTS: &[u8] = &[0x08, 3, b'1', b'0', b'3'];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A server, which its test has accept connections.
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// A connection to a client.
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) answers_pings: bool,
    /// The forms that are not whole yet.
    bodies: HashMap<u32, Vec<u8>>,
}

/// A frame, RFC 9113, section 4.1.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A request that arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) stream: u32,
    pub(crate) form: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // What a server does not read is soon more than this.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// A client that knows that the server speaks HTTP/2.
    pub(crate) fn client(&self, observer: impl Observer) -> Client {
        self.client_with(observer, |_| ())
    }

    pub(crate) fn client_with(
        &self,
        observer: impl Observer,
        change: impl FnOnce(&mut Config),
    ) -> Client {
        client_of(self.address, observer, change)
    }

    /// Accepts a connection, and says nothing.
    pub(crate) async fn accept_raw(&self) -> TcpStream {
        let (stream, _) = in_time(self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Accepts a connection with these settings.
    pub(crate) async fn accept_with(&self, settings: &[(u16, u32)]) -> Peer {
        Peer::over(self.accept_raw().await, settings).await
    }

    pub(crate) async fn accept(&self) -> Peer {
        self.accept_with(&[]).await
    }

    /// Makes sure that nobody wants to connect.
    pub(crate) async fn expect_no_connection(&self) {
        let mut accept = pin!(self.listener.accept());
        let at_once = poll_fn(|context| Poll::Ready(accept.as_mut().poll(context).is_pending()));
        assert!(at_once.await, "somebody connects");
    }
}

/// A client that knows that a server speaks HTTP/2.
pub(crate) fn client_of(
    server: SocketAddr,
    observer: impl Observer,
    change: impl FnOnce(&mut Config),
) -> Client {
    let mut config = Config::new("default", TOKEN);
    config.url = format!("http://{server}/api.php").parse().unwrap();
    config.protocol = Protocol::Http2;
    change(&mut config);
    Client::new(config, observer).unwrap()
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// The error code of a `RST_STREAM` or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        number(&self.payload[at..])
    }

    fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let stream = self.stream.to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &stream].concat();
        [head, self.payload.clone()].concat()
    }
}

/// Fails the test if what it waits for does not come.
async fn in_time<F: Future>(future: F) -> F::Output {
    let result = timeout(Duration::from_mins(1), future).await;
    result.expect("it comes in time")
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Request {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.form.iter().find(|(key, _)| key == name)?;
        Some(value)
    }
}

impl Peer {
    /// Says over a connection what a server says first.
    pub(crate) async fn over(mut stream: TcpStream, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        let settings = settings.iter().flat_map(|(id, value)| {
            let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
            [&id[..], &value].concat()
        });
        let settings: Vec<_> = settings.collect();
        let mut peer = Self {
            stream,
            answers_pings: true,
            bodies: HashMap::new(),
        };
        peer.send(&[Frame::new(SETTINGS, 0, 0, settings)]).await;
        peer
    }

    /// Sends frames, unless the client closed the connection.
    pub(crate) async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<_> = frames.iter().flat_map(Frame::encode).collect();
        let _ = self.stream.write_all(&bytes).await;
    }

    /// The next frame, or none if the connection is closed. It acknowledges settings.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            in_time(self.stream.read_exact(&mut head)).await.ok()?;
            let length = number(&[0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).await.ok()?;
            let frame = Frame::new(head[3], head[4], number(&head[5..]), payload);
            if frame.flags & ACK == 0 {
                match frame.kind {
                    SETTINGS => self.send(&[Frame::new(SETTINGS, ACK, 0, [])]).await,
                    PING if self.answers_pings => {
                        let pong = Frame::new(PING, ACK, 0, frame.payload.clone());
                        self.send(&[pong]).await;
                    }
                    _ => {}
                }
            }
            if !matches!(frame.kind, SETTINGS | WINDOW_UPDATE) {
                return Some(frame);
            }
        }
    }

    /// The next frame of a kind.
    pub(crate) async fn expect(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next request that is whole.
    pub(crate) async fn request(&mut self) -> Request {
        self.try_request().await.expect("the connection is open")
    }

    /// The next request that is whole, or none if the connection is closed.
    pub(crate) async fn try_request(&mut self) -> Option<Request> {
        loop {
            let frame = self.next().await?;
            if frame.kind == DATA {
                let body = self.bodies.entry(frame.stream).or_default();
                body.extend(frame.payload);
                if frame.flags & END_STREAM != 0 {
                    let body = self.bodies.remove(&frame.stream).unwrap_or_default();
                    return Some(Request {
                        stream: frame.stream,
                        form: form_urlencoded::parse(&body).into_owned().collect(),
                    });
                }
            }
        }
    }

    /// Answers on a stream.
    pub(crate) async fn reply(&mut self, stream: u32, body: &str) {
        self.send(&[
            Frame::new(HEADERS, END_HEADERS, stream, OK),
            Frame::new(DATA, END_STREAM, stream, body),
        ])
        .await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        let reset = Frame::new(RST_STREAM, 0, stream, code.to_be_bytes());
        self.send(&[reset]).await;
    }

    /// Gives a stream, or with 0 the connection, room for so many more bytes.
    pub(crate) async fn open_window(&mut self, stream: u32, bytes: u32) {
        let update = Frame::new(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes());
        self.send(&[update]).await;
    }

    /// Waits until the client has seen all that was sent.
    pub(crate) async fn settled(&mut self) {
        let ping = Frame::new(PING, 0, 0, [7; 8]);
        self.send(&[ping]).await;
        while self.expect(PING).await.flags & ACK == 0 {}
    }

    /// Says that the connection ends, and that no stream beyond `last` was or will be looked
    /// at.
    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        // A text that no log may show.
        let payload = [&payload[..], TOKEN.as_bytes()].concat();
        self.send(&[Frame::new(GOAWAY, 0, 0, payload)]).await;
    }

    /// Answers every request with a success until the connection is closed.
    pub(crate) async fn serve(mut self) {
        while let Some(request) = self.try_request().await {
            // A message's id is its text.
            let id = request.get("msg").unwrap_or("0");
            let reply = format!(r#"{{"result": true, "mid": {id}}}"#);
            self.reply(request.stream, &reply).await;
        }
    }
}
