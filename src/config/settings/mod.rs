//! Every setting: its name, its environment variable, its default, and what it does.
//!
//! - `server`: the gRPC port, and what peers may ask of it
//! - `access`: TLS, and who may call
//! - `upstream`: the way to Mesibo

mod access;
mod server;
mod upstream;

pub(crate) use access::*;
pub(crate) use server::*;
pub(crate) use upstream::*;

/// One setting, as `--help` and the README show it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its flag, without the dashes, and its key in the settings file.
    pub name: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// What its value is: `true|false` if the flag alone says true.
    pub value: &'static str,
    /// Its default, if it has one.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// The value of a setting that is on or off.
pub(crate) const SWITCH: &str = "true|false";

/// Settings of `serve` alone: the way to Mesibo, and time for load balancers.
pub(crate) const SERVE: [&Setting; 7] = [
    &METRICS_LISTEN,
    &APP_TOKEN,
    &APP_TOKEN_FILE,
    &UPSTREAM_URL,
    &UPSTREAM_PROXY,
    &UPSTREAM_CA_FILE,
    &LAME_DUCK,
];

/// Settings of `sandbox` alone.
pub(crate) const SANDBOX: [&Setting; 2] = [&EMULATOR_LISTEN, &SANDBOX_METRICS_LISTEN];

/// Settings of the facade, which `serve` and `sandbox` have in common.
pub(crate) const FACADE: [&Setting; 36] = [
    &CONFIG,
    &LISTEN,
    &HEALTH_LISTEN,
    &TLS_CERTIFICATE_FILE,
    &TLS_KEY_FILE,
    &TLS_CLIENT_CA_FILE,
    &TLS_CLIENT_CERTIFICATE,
    &ALLOW_ANONYMOUS,
    &ALLOW_PLAINTEXT,
    &OPEN_REFLECTION,
    &DEFAULT_APP,
    &UPSTREAM_CONNECT_TIMEOUT,
    &UPSTREAM_IDLE_TIMEOUT,
    &UPSTREAM_CONNECTION_LIFETIME,
    &UPSTREAM_MAX_IN_FLIGHT,
    &UPSTREAM_MAX_WAITING,
    &UPSTREAM_MAX_WAIT,
    &MAX_REPLY_BYTES,
    &WORKER_THREADS,
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
    &LOG_FORMAT,
];

/// Settings of `health`.
pub(crate) const HEALTH: [&Setting; 3] = [&ADDRESS, &CA_FILE, &SERVICE];

pub(crate) const CONFIG: Setting = Setting {
    name: "config",
    env: "MESIBO_GRPC_CONFIG",
    value: "FILE",
    default: None,
    help: "TOML file with settings, by the names of their flags",
};

pub(crate) const EMULATOR_LISTEN: Setting = Setting {
    name: "emulator-listen",
    env: "MESIBO_GRPC_EMULATOR_LISTEN",
    value: "ADDR",
    default: Some("127.0.0.1:50080"),
    help: "IP address and port of the emulated backend; port 0 lets the system choose",
};

pub(crate) const LOG: Setting = Setting {
    name: "log",
    env: "MESIBO_GRPC_LOG",
    value: "LEVEL",
    default: Some("info"),
    help: "What to log: off, error, warn, info, debug or trace, or a list such as \
           warn,mesibo_grpc=debug",
};

pub(crate) const LOG_FORMAT: Setting = Setting {
    name: "log-format",
    env: "MESIBO_GRPC_LOG_FORMAT",
    value: "text|json",
    default: Some("text"),
    help: "How to log: text for people, or json, an object a line",
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

pub(crate) const CA_FILE: Setting = Setting {
    name: "ca-file",
    env: "MESIBO_GRPC_CA_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of certificate authorities to trust besides the system's, for https",
};
