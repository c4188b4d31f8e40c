//! Every setting: its name, its environment variable, its default, and what it does.

/// One setting, as `--help` and the README show it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its flag, without the dashes, and its key in the settings file.
    pub name: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// What its value is.
    pub value: &'static str,
    /// Its default, if it has one.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// Settings of `serve` alone: the way to Mesibo, and time for load balancers.
pub(crate) const SERVE: [&Setting; 6] = [
    &APP_TOKEN,
    &APP_TOKEN_FILE,
    &UPSTREAM_URL,
    &UPSTREAM_PROXY,
    &UPSTREAM_CA_FILE,
    &LAME_DUCK,
];

/// Settings of `sandbox` alone.
pub(crate) const SANDBOX: [&Setting; 1] = [&EMULATOR_LISTEN];

/// Settings of the facade, which `serve` and `sandbox` have in common.
pub(crate) const FACADE: [&Setting; 26] = [
    &CONFIG,
    &LISTEN,
    &METRICS_LISTEN,
    &UPSTREAM_CONNECT_TIMEOUT,
    &UPSTREAM_IDLE_TIMEOUT,
    &UPSTREAM_CONNECTION_LIFETIME,
    &UPSTREAM_MAX_IN_FLIGHT,
    &UPSTREAM_MAX_WAITING,
    &UPSTREAM_MAX_WAIT,
    &MAX_REPLY_BYTES,
    &MAX_REQUEST_BYTES,
    &DEFAULT_DEADLINE,
    &MAX_DEADLINE,
    &MAX_CONNECTIONS,
    &MAX_CONCURRENT_STREAMS,
    &MAX_HEADER_BYTES,
    &HANDSHAKE_TIMEOUT,
    &KEEPALIVE_TIME,
    &KEEPALIVE_TIMEOUT,
    &MAX_CONNECTION_IDLE,
    &MAX_CONNECTION_AGE,
    &MAX_CONNECTION_AGE_GRACE,
    &SHUTDOWN_GRACE,
    &DELETE_USER_TOKEN_OP,
    &ERROR_CODES,
    &LOG,
];

/// Settings of `health`.
pub(crate) const HEALTH: [&Setting; 2] = [&ADDRESS, &SERVICE];

/// From the environment only: a command line can be read by everyone on the machine.
pub(crate) const APP_TOKEN: Setting = Setting {
    name: "app-token",
    env: "MESIBO_APP_TOKEN",
    value: "TOKEN",
    default: None,
    help: "Token of the Mesibo application, from the environment only",
};

pub(crate) const APP_TOKEN_FILE: Setting = Setting {
    name: "app-token-file",
    env: "MESIBO_APP_TOKEN_FILE",
    value: "FILE",
    default: None,
    help: "File that holds the token of the Mesibo application",
};

pub(crate) const CONFIG: Setting = Setting {
    name: "config",
    env: "MESIBO_GRPC_CONFIG",
    value: "FILE",
    default: None,
    help: "TOML file with settings, by the names of their flags",
};

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
    default: None,
    help: "IP address and port to serve metrics on, at /metrics, for Prometheus; none if \
           not set",
};

pub(crate) const EMULATOR_LISTEN: Setting = Setting {
    name: "emulator-listen",
    env: "MESIBO_GRPC_EMULATOR_LISTEN",
    value: "ADDR",
    default: Some("127.0.0.1:50080"),
    help: "IP address and port of the emulated backend; port 0 lets the system choose",
};

pub(crate) const UPSTREAM_URL: Setting = Setting {
    name: "upstream-url",
    env: "MESIBO_GRPC_UPSTREAM_URL",
    value: "URL",
    default: Some("https://api.mesibo.com/api.php"),
    help: "URL of Mesibo's backend API; plain HTTP is for a loopback address",
};

pub(crate) const UPSTREAM_PROXY: Setting = Setting {
    name: "upstream-proxy",
    env: "MESIBO_GRPC_UPSTREAM_PROXY",
    value: "URL",
    default: None,
    help: "HTTP proxy on the way to Mesibo; a loopback upstream is never proxied",
};

pub(crate) const UPSTREAM_CA_FILE: Setting = Setting {
    name: "upstream-ca-file",
    env: "MESIBO_GRPC_UPSTREAM_CA_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of certificate authorities to trust besides the system's",
};

pub(crate) const UPSTREAM_CONNECT_TIMEOUT: Setting = Setting {
    name: "upstream-connect-timeout",
    env: "MESIBO_GRPC_UPSTREAM_CONNECT_TIMEOUT",
    value: "DURATION",
    default: Some("3s"),
    help: "Longest time to connect to Mesibo, TLS included",
};

pub(crate) const UPSTREAM_IDLE_TIMEOUT: Setting = Setting {
    name: "upstream-idle-timeout",
    env: "MESIBO_GRPC_UPSTREAM_IDLE_TIMEOUT",
    value: "DURATION",
    default: Some("15s"),
    help: "How long an idle connection to Mesibo is kept; keep it shorter than Mesibo does",
};

pub(crate) const UPSTREAM_CONNECTION_LIFETIME: Setting = Setting {
    name: "upstream-connection-lifetime",
    env: "MESIBO_GRPC_UPSTREAM_CONNECTION_LIFETIME",
    value: "DURATION",
    default: Some("5m"),
    help: "How long connections to Mesibo are used before its name is looked up again",
};

pub(crate) const UPSTREAM_MAX_IN_FLIGHT: Setting = Setting {
    name: "upstream-max-in-flight",
    env: "MESIBO_GRPC_UPSTREAM_MAX_IN_FLIGHT",
    value: "NUMBER",
    default: Some("1024"),
    help: "How many requests to Mesibo may be in flight at a time",
};

pub(crate) const UPSTREAM_MAX_WAITING: Setting = Setting {
    name: "upstream-max-waiting",
    env: "MESIBO_GRPC_UPSTREAM_MAX_WAITING",
    value: "NUMBER",
    default: Some("256"),
    help: "How many more may wait for one to end; what is above is turned away at once",
};

pub(crate) const UPSTREAM_MAX_WAIT: Setting = Setting {
    name: "upstream-max-wait",
    env: "MESIBO_GRPC_UPSTREAM_MAX_WAIT",
    value: "DURATION",
    default: Some("500ms"),
    help: "Longest time that one waits before it is turned away",
};

pub(crate) const MAX_REPLY_BYTES: Setting = Setting {
    name: "max-reply-bytes",
    env: "MESIBO_GRPC_MAX_REPLY_BYTES",
    value: "BYTES",
    default: Some("1048576"),
    help: "Largest reply of Mesibo that is read",
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
           descriptor: the limit of the process (ulimit -n) should be higher",
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

pub(crate) const DELETE_USER_TOKEN_OP: Setting = Setting {
    name: "delete-user-token-op",
    env: "MESIBO_GRPC_DELETE_USER_TOKEN_OP",
    value: "OP",
    default: Some("usertoken"),
    help: "What DeleteUserToken sends: usertoken, or userdel, as Mesibo's documentation \
           prints it and which deletes the user",
};

pub(crate) const ERROR_CODES: Setting = Setting {
    name: "error-codes",
    env: "MESIBO_GRPC_ERROR_CODES",
    value: "CODE=STATUS,...",
    default: Some(""),
    help: "gRPC statuses of Mesibo's error codes that the rules get wrong, such as \
           NOCREDIT=RESOURCE_EXHAUSTED; a table in the settings file",
};

pub(crate) const LOG: Setting = Setting {
    name: "log",
    env: "MESIBO_GRPC_LOG",
    value: "LEVEL",
    default: Some("info"),
    help: "What to log: off, error, warn, info, debug or trace, or a list such as \
           warn,mesibo_grpc=debug",
};

pub(crate) const ADDRESS: Setting = Setting {
    name: "address",
    env: "MESIBO_GRPC_ADDRESS",
    value: "URL",
    default: Some("http://127.0.0.1:50051"),
    help: "URL of the server to ask",
};

pub(crate) const SERVICE: Setting = Setting {
    name: "service",
    env: "MESIBO_GRPC_SERVICE",
    value: "NAME",
    default: Some(""),
    help: "Full name of the service to ask for; the server as a whole if empty",
};
