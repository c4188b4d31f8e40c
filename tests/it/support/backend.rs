//! An HTTP backend on real sockets that records what it is asked, and answers, or
//! misbehaves, as it is told.

mod http2;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::thread::Server;

/// The system chooses.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What the backend does with a request that it has read.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends these bytes, and closes the connection if nothing comes for a while.
    SendAndCloseIdle(Vec<u8>, Duration),
    /// Sends these bytes one by one.
    Drip(Vec<u8>),
    /// Never answers.
    Hang,
    /// Does something after a while.
    After(Duration, Box<Answer>),
    /// Resets the stream with this code; over HTTP/2 only, as all that follows.
    Reset(u32),
    /// Says that the connection ends, with this code, and does something on the stream if it
    /// is the last one that counts: without that, it is the first one that does not.
    GoAway(u32, Option<Box<Answer>>),
    /// Reads nothing for a while, and then does something.
    StopReading(Duration, Box<Answer>),
    /// Sends what no peer understands.
    Garbage,
    /// Closes the connection, with all its streams.
    Close,
}

impl Answer {
    /// A response with this body.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::http(200, &[], body)
    }

    /// A whole HTTP response.
    pub fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "HTTP/1.1 {status} .\r\ncontent-length: {}\r\n{}\r\n",
            body.len(),
            headers.concat()
        );
        Self::Send([head.as_bytes(), body].concat())
    }
}

/// What the backend does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Serves it, and closes it in good order.
    Serve,
    /// Serves it, and resets it in the end.
    ServeAndReset,
    /// Closes it at once.
    Close,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Method and target.
    pub line: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The decoded form of the body, sorted.
    pub form: Vec<(String, String)>,
    /// Which connection it came by, from 0.
    pub connection: usize,
}

impl Recorded {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.form.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(value)
    }
}

/// A running backend.
pub struct Backend {
    server: Server,
    requests: Arc<Mutex<Vec<Recorded>>>,
    hung_up: watch::Receiver<usize>,
}

/// What a backend speaks.
enum Speaks {
    Http1,
    Http2,
    /// HTTP/2 if both sides offer it.
    Tls(TlsAcceptor),
}

struct Shared {
    script: Box<dyn Fn(&Recorded) -> Answer + Send + Sync>,
    accept: Box<dyn Fn() -> Accept + Send + Sync>,
    tls: Option<TlsAcceptor>,
    /// Whether clients speak HTTP/2 without TLS.
    is_http2: bool,
    requests: Arc<Mutex<Vec<Recorded>>>,
    hung_up: watch::Sender<usize>,
}

impl Backend {
    /// A backend that does the same with every request.
    pub fn always(answer: Answer) -> Self {
        Self::scripted(move |_| answer.clone())
    }

    /// A backend that does with a request what `script` says.
    pub fn scripted(script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(ANY_PORT, Speaks::Http1, script, || Accept::Serve)
    }

    /// A backend that does with connections and requests what these say.
    pub fn faulty(
        address: SocketAddr,
        script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
        accept: impl Fn() -> Accept + Send + Sync + 'static,
    ) -> Self {
        Self::start(address, Speaks::Http1, script, accept)
    }

    /// The same over HTTP/2, which clients have to know.
    pub fn faulty_http2(
        address: SocketAddr,
        script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
        accept: impl Fn() -> Accept + Send + Sync + 'static,
    ) -> Self {
        Self::start(address, Speaks::Http2, script, accept)
    }

    /// A backend that takes its time for every answer.
    pub fn slow(delay: Duration, answer: Answer) -> Self {
        Self::always(Answer::After(delay, Box::new(answer)))
    }

    /// A backend on a port that was free a moment ago.
    pub fn on(address: SocketAddr, answer: Answer) -> Self {
        Self::start(
            address,
            Speaks::Http1,
            move |_| answer.clone(),
            || Accept::Serve,
        )
    }

    /// A backend that speaks TLS, and HTTP/2 with clients that choose it.
    pub fn tls(config: rustls::ServerConfig, answer: Answer) -> Self {
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::start(
            ANY_PORT,
            Speaks::Tls(tls),
            move |_| answer.clone(),
            || Accept::Serve,
        )
    }

    fn start(
        address: SocketAddr,
        speaks: Speaks,
        script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
        accept: impl Fn() -> Accept + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::default();
        let (sender, hung_up) = watch::channel(0);
        let (tls, is_http2) = match speaks {
            Speaks::Http1 => (None, false),
            Speaks::Http2 => (None, true),
            Speaks::Tls(tls) => (Some(tls), false),
        };
        let shared = Arc::new(Shared {
            script: Box::new(script),
            accept: Box::new(accept),
            tls,
            is_http2,
            requests: Arc::clone(&requests),
            hung_up: sender,
        });
        let server = Server::start(async move |tell, stopped| {
            let listener = TcpListener::bind(address).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            tokio::select! {
                _ = stopped => {}
                () = accept_all(listener, shared) => {}
            }
        });
        Self {
            server,
            requests,
            hung_up,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// The URL of its API.
    pub fn url(&self) -> String {
        format!("http://{}/api.php", self.addr())
    }

    /// What it was asked.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request that it got.
    pub fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }

    /// Waits until `count` clients went away from a request that hangs.
    pub async fn hung_up(&self, count: usize) {
        let mut hung_up = self.hung_up.clone();
        hung_up.wait_for(|&hung_up| hung_up >= count).await.unwrap();
    }

    /// Waits until it got `count` requests.
    pub async fn got(&self, count: usize) {
        while self.requests.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        match (shared.accept)() {
            Accept::Serve => {}
            Accept::ServeAndReset => stream.set_zero_linger().unwrap(),
            Accept::Close => continue,
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that goes away is part of the tests.
            let _ = match &shared.tls {
                None if shared.is_http2 => http2::serve(stream, connection, &shared).await,
                None => serve(stream, connection, &shared).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                        http2::serve(stream, connection, &shared).await
                    }
                    Ok(stream) => serve(stream, connection, &shared).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    shared: &Shared,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection).await? {
        shared.requests.lock().unwrap().push(request.clone());
        let mut answer = (shared.script)(&request);
        while let Answer::After(delay, then) = answer {
            tokio::time::sleep(delay).await;
            answer = *then;
        }
        match answer {
            Answer::After(..) => unreachable!("it is over"),
            Answer::Reset(_)
            | Answer::GoAway(..)
            | Answer::StopReading(..)
            | Answer::Garbage
            | Answer::Close => unreachable!("it is for HTTP/2"),
            Answer::Send(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            Answer::SendAndClose(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Answer::SendAndCloseIdle(bytes, idle) => {
                stream.write_all(&bytes).await?;
                match timeout(idle, stream.read_buf(&mut buffer)).await {
                    Ok(Ok(1..)) => {}
                    _ => return stream.shutdown().await,
                }
            }
            Answer::Drip(bytes) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Answer::Hang => {
                let mut end = [0];
                let _ = stream.read(&mut end).await;
                shared.hung_up.send_modify(|hung_up| *hung_up += 1);
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<Recorded>> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(buffer.drain(..head_end).collect()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    Ok(Some(Recorded {
        line,
        headers,
        form: form(&body),
        connection,
    }))
}

/// The decoded form of a body, sorted.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let mut form: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
    form.sort();
    form
}
