//! Settings of the gRPC port, and of what peers may ask of it.

use super::Setting;

pub(crate) const LISTEN: Setting = Setting {
    name: "listen",
    env: "MESIBO_GRPC_LISTEN",
    value: "ADDR",
    default: Some("127.0.0.1:50051"),
    help: "IP address and port to serve gRPC on; port 0 lets the system choose",
};

pub(crate) const METRICS_LISTEN: Setting = Setting {
    name: "metrics-listen",
    env: "MESIBO_GRPC_METRICS_LISTEN",
    value: "ADDR",
    default: Some("127.0.0.1:9464"),
    help: "IP address and port to serve metrics on, at /metrics, for Prometheus; or none",
};

/// Several sandboxes run side by side, and nobody watches them.
pub(crate) const SANDBOX_METRICS_LISTEN: Setting = Setting {
    default: Some("none"),
    ..METRICS_LISTEN
};

pub(crate) const WORKER_THREADS: Setting = Setting {
    name: "worker-threads",
    env: "MESIBO_GRPC_WORKER_THREADS",
    value: "NUMBER",
    default: None,
    help: "How many threads serve calls, each with connections of its own; as many as \
           there are processors if not set",
};

pub(crate) const MAX_REQUEST_BYTES: Setting = Setting {
    name: "max-request-bytes",
    env: "MESIBO_GRPC_MAX_REQUEST_BYTES",
    value: "BYTES",
    default: Some("4194304"),
    help: "Largest gRPC request message that is taken",
};

pub(crate) const DEFAULT_DEADLINE: Setting = Setting {
    name: "default-deadline",
    env: "MESIBO_GRPC_DEFAULT_DEADLINE",
    value: "DURATION",
    default: Some("15s"),
    help: "Deadline of a call that sets none",
};

pub(crate) const MAX_DEADLINE: Setting = Setting {
    name: "max-deadline",
    env: "MESIBO_GRPC_MAX_DEADLINE",
    value: "DURATION",
    default: Some("60s"),
    help: "Longest deadline; a later one is brought forward to it",
};

pub(crate) const MAX_CONNECTIONS: Setting = Setting {
    name: "max-connections",
    env: "MESIBO_GRPC_MAX_CONNECTIONS",
    value: "NUMBER",
    default: Some("10000"),
    help: "Most connections at a time; one above is closed at once. Each takes a file \
           descriptor: the hard limit of the process (ulimit -Hn) should be higher; the \
           soft one is raised to it",
};

pub(crate) const MAX_CONCURRENT_STREAMS: Setting = Setting {
    name: "max-concurrent-streams",
    env: "MESIBO_GRPC_MAX_CONCURRENT_STREAMS",
    value: "NUMBER",
    default: Some("200"),
    help: "Most calls at a time on a connection",
};

pub(crate) const MAX_HEADER_BYTES: Setting = Setting {
    name: "max-header-bytes",
    env: "MESIBO_GRPC_MAX_HEADER_BYTES",
    value: "BYTES",
    default: Some("16384"),
    help: "Largest headers of a call; what is larger is answered with the HTTP status 431",
};

pub(crate) const HANDSHAKE_TIMEOUT: Setting = Setting {
    name: "handshake-timeout",
    env: "MESIBO_GRPC_HANDSHAKE_TIMEOUT",
    value: "DURATION",
    default: Some("10s"),
    help: "How long a new connection may take to begin HTTP/2",
};

pub(crate) const KEEPALIVE_TIME: Setting = Setting {
    name: "keepalive-time",
    env: "MESIBO_GRPC_KEEPALIVE_TIME",
    value: "DURATION",
    default: Some("60s"),
    help: "After how long a silent peer is asked by a ping whether it is still there",
};

pub(crate) const KEEPALIVE_TIMEOUT: Setting = Setting {
    name: "keepalive-timeout",
    env: "MESIBO_GRPC_KEEPALIVE_TIMEOUT",
    value: "DURATION",
    default: Some("20s"),
    help: "How long it may take to answer that before its connection is closed",
};

pub(crate) const MAX_CONNECTION_IDLE: Setting = Setting {
    name: "max-connection-idle",
    env: "MESIBO_GRPC_MAX_CONNECTION_IDLE",
    value: "DURATION",
    default: Some("5m"),
    help: "How long a connection may have no call in flight before it is ended",
};

pub(crate) const MAX_CONNECTION_AGE: Setting = Setting {
    name: "max-connection-age",
    env: "MESIBO_GRPC_MAX_CONNECTION_AGE",
    value: "DURATION",
    default: Some("5m"),
    help: "At what age a connection is ended, 10% more or less by chance",
};

pub(crate) const MAX_CONNECTION_AGE_GRACE: Setting = Setting {
    name: "max-connection-age-grace",
    env: "MESIBO_GRPC_MAX_CONNECTION_AGE_GRACE",
    value: "DURATION",
    default: Some("30s"),
    help: "How long calls in flight may take to finish on a connection that is ended",
};

pub(crate) const LAME_DUCK: Setting = Setting {
    name: "lame-duck",
    env: "MESIBO_GRPC_LAME_DUCK",
    value: "DURATION",
    default: Some("5s"),
    help: "How long new connections are still served at a shutdown, while health says \
           NOT_SERVING",
};

pub(crate) const SHUTDOWN_GRACE: Setting = Setting {
    name: "shutdown-grace",
    env: "MESIBO_GRPC_SHUTDOWN_GRACE",
    value: "DURATION",
    default: Some("20s"),
    help: "How long calls in flight may take to finish after that",
};
