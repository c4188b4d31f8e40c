//! Exchanges over a stream that yields at every poll, and moves a few bytes at the next: in
//! each order of events that a connection may meet, the call that drives it is woken again.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tower::{BoxError, service_fn, util::BoxCloneSyncService};

use super::{
    answer::{Answer, Body},
    exchange::{Template, post},
    pool::Pool,
    progress::Progress,
    stream::Transport,
};
use crate::{
    config::{Config, Protocol},
    observer::Observer,
};

/// How many bytes one poll moves at most.
const STEP: usize = 7;

/// A stream whose reads, writes and flushes are ready at every other poll.
struct Yielding {
    stream: TokioIo<TcpStream>,
    yielded: Yielded,
}

/// Which operations yielded when polled last.
#[derive(Default)]
struct Yielded {
    read: bool,
    write: bool,
    flush: bool,
}

/// How many connections are open, and how many were opened.
#[derive(Default)]
struct Connections {
    open: AtomicIsize,
    opened: AtomicUsize,
}

/// A client's side of the tests.
struct Fixture {
    pool: Pool<Yielding>,
    template: Template,
    connections: Arc<Connections>,
}

/// Whether a poll is one that yields.
fn yields(yielded: &mut bool, cx: &Context<'_>) -> bool {
    *yielded = !*yielded;
    if *yielded {
        cx.waker().wake_by_ref();
    }
    *yielded
}

impl Transport for Yielding {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.stream.inner())
    }

    fn chose_http2(&self) -> bool {
        false
    }
}

impl Read for Yielding {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if yields(&mut self.yielded.read, cx) {
            return Poll::Pending;
        }
        let mut bytes = [0; STEP];
        let mut buffer = ReadBuf::new(&mut bytes[..STEP.min(cursor.remaining())]);
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer.unfilled());
        cursor.put_slice(buffer.filled());
        read
    }
}

impl Write for Yielding {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if yields(&mut self.yielded.write, cx) {
            return Poll::Pending;
        }
        let step = &bytes[..STEP.min(bytes.len())];
        Pin::new(&mut self.stream).poll_write(cx, step)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if yields(&mut self.yielded.flush, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Observer for Arc<Connections> {
    fn connection_opened(&self, _: &'static str) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    fn connection_closed(&self, _: &'static str) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fixture {
    fn new(server: SocketAddr) -> Self {
        Self::over(Protocol::Http1, server)
    }

    fn over(protocol: Protocol, server: SocketAddr) -> Self {
        let connect = move |_: Uri| async move {
            Ok::<_, BoxError>(Yielding {
                stream: TokioIo::new(TcpStream::connect(server).await?),
                yielded: Yielded::default(),
            })
        };
        let uri = Uri::from_static("http://mesibo.test/api.php");
        let connections = Arc::new(Connections::default());
        let mut config = Config::new("default", "t0k");
        config.protocol = protocol;
        Self {
            template: Template::new(&uri, "test").unwrap(),
            pool: Pool::with_connector(
                BoxCloneSyncService::new(service_fn(connect)),
                &config,
                uri,
                Arc::new(Arc::clone(&connections)),
            ),
            connections,
        }
    }

    /// Posts a form of so many bytes.
    async fn post(&self, bytes: usize) -> Answer {
        let form = [
            Bytes::from(vec![b'x'; bytes]),
            Bytes::from_static(b"&token=t0k"),
        ];
        let progress = Progress::new(Instant::now() + Duration::from_mins(1));
        progress.begin_attempt();
        let answer = post(&self.pool, &self.template, form, 1 << 20, &progress, &());
        let answer = timeout(Duration::from_mins(1), answer).await;
        answer
            .expect("the call is woken again")
            .map_err(|(failure, _)| failure)
            .unwrap()
    }

    fn opened(&self) -> usize {
        self.connections.opened.load(Ordering::Relaxed)
    }
}

/// Reads the head of a request, and says how long its body is.
async fn read_head(stream: &mut TcpStream) -> io::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?.to_ascii_lowercase());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    Ok(length.unwrap().parse().unwrap())
}

/// Answers each request with the bytes that `answer` makes of the length of its form.
async fn serve(mut stream: TcpStream, answer: fn(usize) -> Vec<u8>) -> io::Result<()> {
    loop {
        let length = read_head(&mut stream).await?;
        stream.read_exact(&mut vec![0; length]).await?;
        stream.write_all(&answer(length)).await?;
    }
}

/// Answers each request over HTTP/2 with as many bytes as `answer` makes of the length of its
/// form, and gives no more room for the form than it has read.
async fn serve_http2(stream: TcpStream, answer: fn(usize) -> usize) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        tokio::spawn(async move {
            let (mut form, mut length) = (request.into_body(), 0);
            while let Some(part) = form.data().await {
                let part = part?;
                length += part.len();
                form.flow_control().release_capacity(part.len())?;
            }
            let mut body = respond.send_response(http::Response::new(()), false)?;
            body.send_data(vec![b'y'; answer(length)].into(), true)
        });
    }
    Ok(())
}

fn whole(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(50) {
        response.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        response.extend([chunk, b"\r\n"].concat());
    }
    response.extend(b"0\r\n\r\n");
    response
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_connection_serves_one_exchange_after_the_other() {
    // A small form has a large answer, and the other way round.
    let answers: [fn(usize) -> Vec<u8>; 2] = [
        |length| whole(&vec![b'y'; 30_000 / length]),
        |length| chunked(&vec![b'y'; 30_000 / length]),
    ];
    for answer in answers {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = serve(stream, answer).await;
        });
        let fixture = Fixture::new(address);
        for bytes in [0, 1, 10, 100, 1_000, 10_000, 100_000].repeat(3) {
            let expected = 30_000 / (bytes + "&token=t0k".len());
            let Body::Whole(body) = fixture.post(bytes).await.body else {
                panic!("the body is whole");
            };
            assert_eq!(body, vec![b'y'; expected]);
        }
        assert_eq!(fixture.opened(), 1);
    }
}

#[tokio::test]
async fn exchanges_at_the_same_time_do_not_hinder_each_other() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, |length| whole(length.to_string().as_bytes())));
        }
    });
    let fixture = Arc::new(Fixture::new(address));
    let calls = (0..20).map(|call| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for bytes in call * 10..call * 10 + 10 {
                let Body::Whole(body) = fixture.post(bytes).await.body else {
                    panic!("the body is whole");
                };
                let length = bytes + "&token=t0k".len();
                assert_eq!(body, length.to_string().into_bytes());
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(fixture.opened() <= 20, "{}", fixture.opened());
}

#[tokio::test]
async fn a_connection_that_its_server_closes_is_replaced() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = read_head(&mut stream).await.unwrap();
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            // It is closed at once, and without a word about that.
            stream.write_all(&whole(b"OK")).await.unwrap();
        }
    });
    let fixture = Fixture::new(address);
    for count in 1..=20 {
        assert!(matches!(fixture.post(100).await.body, Body::Whole(body) if body == b"OK"));
        assert!(fixture.opened() <= count);
    }
}

#[tokio::test]
async fn a_connection_whose_server_answers_early_is_not_used_again() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await.unwrap();
            stream.write_all(&whole(b"no")).await.unwrap();
            kept.push(stream);
        }
    });
    let fixture = Fixture::new(address);
    for count in 1..=5 {
        assert!(matches!(fixture.post(10 << 20).await.body, Body::Whole(body) if body == b"no"));
        assert_eq!(fixture.opened(), count);
        assert_eq!(fixture.connections.open.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn exchanges_share_an_http2_connection_and_do_not_hinder_each_other() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_http2(stream, |length| 100_000 / length));
        }
    });
    let fixture = Arc::new(Fixture::over(Protocol::Http2, address));
    let calls = (0..20).map(|call| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for bytes in [0, 1, 10, 1_000, 20_000 + call] {
                let Body::Whole(body) = fixture.post(bytes).await.body else {
                    panic!("the body is whole");
                };
                let length = bytes + "&token=t0k".len();
                assert_eq!(body, vec![b'y'; 100_000 / length]);
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(fixture.opened(), 1);
}
