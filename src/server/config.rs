//! How to serve.

use std::{net::SocketAddr, time::Duration};

use http::HeaderValue;

use super::net::tls::Tls;

/// Largest request message of the health service, in bytes.
pub const MAX_HEALTH_REQUEST_BYTES: usize = 1 << 10;

/// Largest request message of server reflection, in bytes.
pub const MAX_REFLECTION_REQUEST_BYTES: usize = 64 << 10;

/// Most watches of health at a time on one connection. A client needs one for each service.
pub const MAX_WATCHES_PER_CONNECTION: usize = 16;

/// Most watches of health at a time on one port.
pub const MAX_WATCHES: usize = 2048;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Address to serve health on besides, without TLS, which the probes of Kubernetes do
    /// not speak.
    pub health_listen: Option<SocketAddr>,
    /// TLS on the gRPC port. `None` is plaintext.
    pub tls: Option<Tls>,
    /// Whether a balancer in front says whose each connection of the gRPC port is, by
    /// version 2 of the PROXY protocol. Nobody but the balancer may reach the port then:
    /// whoever does can name any address.
    pub proxy_protocol: bool,
    /// What is spoken on the gRPC port, and with whose web pages. The port for health
    /// speaks gRPC.
    pub doors: Doors,
    /// The deadlines of calls.
    pub deadlines: Deadlines,
    /// Limits on what peers may ask of the server.
    pub limits: Limits,
    /// Threads that serve connections, at least one.
    pub worker_threads: usize,
    /// How long new connections are still served after the beginning of a shutdown, while
    /// health says `NOT_SERVING`.
    pub lame_duck: Duration,
    /// How long calls in flight may take to finish after the lame-duck time.
    pub shutdown_grace: Duration,
}

/// How a call may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// gRPC, over HTTP/2.
    Grpc,
    /// gRPC-Web, binary or text, over HTTP/2 and HTTP/1.1.
    GrpcWeb,
    /// Connect's protocol of unary calls, in JSON or protobuf, over HTTP/2 and HTTP/1.1.
    Connect,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::Grpc, Self::GrpcWeb, Self::Connect];

    /// The name in settings, log lines and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Connect => "connect",
        }
    }
}

/// What is spoken on a port, and with whose web pages.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The dialects that are spoken.
    pub protocols: Vec<Dialect>,
    /// The origins of web pages that may read responses, such as
    /// `https://console.example.com`.
    pub cors_origins: Vec<HeaderValue>,
}

impl Doors {
    /// Those of a port that speaks gRPC alone.
    #[must_use]
    pub fn of_grpc() -> Self {
        Self {
            protocols: vec![Dialect::Grpc],
            cors_origins: Vec::new(),
        }
    }

    /// Whether a dialect is spoken.
    #[must_use]
    pub fn speaks(&self, dialect: Dialect) -> bool {
        self.protocols.contains(&dialect)
    }

    /// Whether a dialect is spoken that HTTP/1.1 can carry.
    #[must_use]
    pub fn speaks_http1(&self) -> bool {
        self.speaks(Dialect::GrpcWeb) || self.speaks(Dialect::Connect)
    }
}

/// Limits on what peers may ask of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most open connections, lowered to three quarters of the file descriptors that the
    /// process may have. For one above, the connection that has been without a call of a
    /// caller for longest is closed, or else the new one is.
    pub max_connections: usize,
    /// Most open connections of one IPv4 address, or of one IPv6 network of 64 bits; one
    /// above is closed at once.
    pub max_connections_per_address: usize,
    /// Whether the limit on the connections of an address holds on loopback as well, where
    /// all clients of a machine share one.
    pub loopback_is_limited: bool,
    /// Largest request message of an RPC of the contract, in bytes. Health takes
    /// [`MAX_HEALTH_REQUEST_BYTES`], and reflection [`MAX_REFLECTION_REQUEST_BYTES`].
    pub max_request_bytes: usize,
    /// Most memory that the requests of the process take at a time, in bytes: their
    /// messages, as large as the client announces them before they are read, their headers,
    /// and what a call needs besides. Of this, an eighth is for calls of the gRPC port that
    /// have no caller, and an eighth for the health port.
    pub max_request_memory: usize,
    /// Most memory that the requests of one connection take at a time, in bytes.
    pub max_request_memory_per_connection: usize,
    /// How long a request message may take to arrive, from the headers of its call, or, in a
    /// stream of them, from its first byte.
    pub request_body_timeout: Duration,
    /// Most calls at a time on a connection, as `SETTINGS_MAX_CONCURRENT_STREAMS`. A call
    /// above is refused as not processed, which gRPC repeats by itself.
    pub max_concurrent_streams: u32,
    /// Largest request headers, in bytes, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts
    /// them: decoded, with 32 bytes for each. h2 answers larger ones with the HTTP status
    /// 431 and no gRPC status, and ends the connection at four times the limit.
    pub max_header_bytes: u32,
    /// By when after its accept a connection must have sent its HTTP/2 preface, TLS
    /// included.
    pub handshake_timeout: Duration,
    /// Silence of a peer after which the server sends a PING.
    pub keepalive_time: Duration,
    /// How long the answer to a PING may take before the connection is closed. A peer
    /// that reads nothing, so that not even a GOAWAY can be written, is cut off by the age
    /// of its connection.
    pub keepalive_timeout: Duration,
    /// Time without a call in flight after which a connection gets a GOAWAY. A watch of
    /// health is a call.
    pub max_connection_idle: Duration,
    /// Age at which a connection gets a GOAWAY, with a jitter of 10%.
    pub max_connection_age: Duration,
    /// How long calls in flight may take to finish after a GOAWAY for idleness or age.
    pub max_connection_age_grace: Duration,
}

/// The part of the memory for requests that calls without a caller may take, on each port.
/// Every client can make them: they must not keep callers out, nor may what arrives on the
/// gRPC port keep probes out on the port for health.
const SHARE_WITHOUT_CALLER: usize = 8;

/// The memory of a stream of items besides that of its items: what arrives before it is
/// read, and what the frames take in which that comes.
pub(super) const STREAM_BYTES: usize = 256 << 10;

/// Memory that a call takes besides that of its message, at the most.
const CALL_ROOM: usize = (64 << 10) + STREAM_BYTES;

impl Limits {
    /// Most memory that the requests of one port take that have no caller, in bytes.
    #[must_use]
    pub fn request_memory_of_others(&self) -> usize {
        self.max_request_memory / SHARE_WITHOUT_CALLER
    }

    /// Most memory that the requests of callers take, in bytes.
    #[must_use]
    pub fn request_memory_of_callers(&self) -> usize {
        self.max_request_memory - 2 * self.request_memory_of_others()
    }

    /// The memory of a call with the largest message, in bytes.
    #[must_use]
    pub fn largest_call(&self) -> usize {
        self.max_request_bytes.saturating_add(CALL_ROOM)
    }
}

/// The deadlines of calls.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The deadline of a call that sets none.
    pub default: Duration,
    /// The longest deadline; a later one is brought forward to it.
    pub longest: Duration,
}

impl Config {
    /// The kind of TLS on the gRPC port: `none`, `server`, or `mutual`.
    #[must_use]
    pub fn tls_mode(&self) -> &'static str {
        match &self.tls {
            None => "none",
            Some(tls) if tls.is_mutual() => "mutual",
            Some(_) => "server",
        }
    }
}
