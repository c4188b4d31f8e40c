//! A backend that does as it is told, and an observer that remembers.

pub(crate) mod http2;

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use mesibo::{Client, Config, Observer};
use socket2::{SockRef, Socket};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::Instant,
};

/// What the backend does with a request that it has read.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends a response with this body, and keeps the connection.
    Reply(String),
    /// The same, as soon as the test releases it.
    Held(String),
    /// Closes all connections.
    CloseAll,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    /// The decoded form of the body.
    pub(crate) form: Vec<(String, String)>,
    /// Which connection it came by, from 0.
    pub(crate) connection: usize,
}

/// A running backend, which ends with the runtime of its test.
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    requests: watch::Sender<Vec<Recorded>>,
    held: Semaphore,
    connections: Mutex<Vec<Socket>>,
}

/// What a client told its observer.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Events>>);

#[derive(Clone, Default)]
pub(crate) struct Events {
    pub(crate) attempts: Vec<&'static str>,
    pub(crate) calls: Vec<(&'static str, &'static str)>,
    pub(crate) opened: usize,
    pub(crate) closed: usize,
}

impl Answer {
    pub(crate) fn reply(body: &str) -> Self {
        Self::Reply(body.to_owned())
    }

    pub(crate) fn held(body: &str) -> Self {
        Self::Held(body.to_owned())
    }
}

impl Backend {
    /// A backend that does with the requests, counted from 0, what `script` says.
    pub(crate) async fn new(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: watch::Sender::default(),
            held: Semaphore::new(0),
            connections: Mutex::default(),
        });
        tokio::spawn(accept_all(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// A client of this backend, after `change` of its configuration.
    pub(crate) fn client_with(
        &self,
        observer: impl Observer,
        change: impl FnOnce(&mut Config),
    ) -> Client {
        let mut config = Config::new("default", TOKEN);
        config.url = format!("http://{}/api.php", self.address).parse().unwrap();
        change(&mut config);
        Client::new(config, observer).unwrap()
    }

    pub(crate) fn client(&self, observer: impl Observer) -> Client {
        self.client_with(observer, |_| ())
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until there were `count` requests.
    pub(crate) async fn got(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        let enough = requests.wait_for(|requests| requests.len() >= count);
        enough.await.unwrap();
    }

    /// Has one held answer sent.
    pub(crate) fn release(&self) {
        self.shared.held.add_permits(1);
    }
}

impl Recorder {
    pub(crate) fn events(&self) -> Events {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Recorder {
    fn attempt(&self, op: &'static str) {
        self.0.lock().unwrap().attempts.push(op);
    }

    fn call(&self, op: &'static str, outcome: &'static str, _: Duration) {
        self.0.lock().unwrap().calls.push((op, outcome));
    }

    fn connection_opened(&self, _: &'static str) {
        self.0.lock().unwrap().opened += 1;
    }

    fn connection_closed(&self, _: &'static str) {
        self.0.lock().unwrap().closed += 1;
    }

    fn request(&self, headers: &mut HeaderMap) {
        headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
    }
}

/// The token of the client.
pub(crate) const TOKEN: &str = "t0k/en";

/// A deadline that no test reaches.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&stream).try_clone().unwrap();
        shared.connections.lock().unwrap().push(socket);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Clients that go away are a part of the tests.
            let _ = serve(stream, connection, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    while let Some((head, form)) = read_request(&mut stream).await? {
        let mut number = 0;
        shared.requests.send_modify(|requests| {
            number = requests.len();
            requests.push(Recorded {
                head,
                form,
                connection,
            });
        });
        let body = match (shared.script)(number) {
            Answer::CloseAll => {
                for socket in &*shared.connections.lock().unwrap() {
                    socket.shutdown(Shutdown::Both)?;
                }
                return Ok(());
            }
            Answer::Reply(body) => body,
            Answer::Held(body) => {
                shared.held.acquire().await.unwrap().forget();
                body
            }
        };
        let length = body.len();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(response.as_bytes()).await?;
    }
    Ok(())
}

async fn read_request(
    stream: &mut TcpStream,
) -> io::Result<Option<(String, Vec<(String, String)>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte.to_ascii_lowercase()),
            Err(_) => return Ok(None),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await?;
    let form = form_urlencoded::parse(&body).into_owned().collect();
    Ok(Some((head, form)))
}
