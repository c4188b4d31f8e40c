//! How to serve.

use std::{net::SocketAddr, time::Duration};

use super::net::tls::Tls;

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

/// Limits on what peers may ask of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most open connections; one above is closed at once.
    pub max_connections: usize,
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

/// The deadlines of calls.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The deadline of a call that sets none.
    pub default: Duration,
    /// The longest deadline; a later one is brought forward to it.
    pub longest: Duration,
}
