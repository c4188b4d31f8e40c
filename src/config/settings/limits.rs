//! The limits of calls and connections.

use std::time::Duration;

use super::{Group, Setting};
use crate::config::values;

pub(crate) const MAX_REQUEST_BYTES: Setting<usize> =
    Setting::new(Group::Limits, "max-request-bytes", "BYTES", values::bytes)
        .default("4194304")
        .help("Largest gRPC request message that is taken");

pub(crate) const MAX_REQUEST_MEMORY: Setting<usize> =
    Setting::new(Group::Limits, "max-request-memory", "BYTES", values::bytes)
        .default("268435456")
        .help(
            "Most memory that requests take at a time; a call for which there is none is \
             refused. An eighth is for calls without a caller, such as health, and an eighth \
             for the port of health-listen",
        );

pub(crate) const MAX_REQUEST_MEMORY_PER_CONNECTION: Setting<usize> = Setting::new(
    Group::Limits,
    "max-request-memory-per-connection",
    "BYTES",
    values::bytes,
)
.default("33554432")
.help("Most memory that the requests of one connection take at a time");

pub(crate) const REQUEST_BODY_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Limits,
    "request-body-timeout",
    "DURATION",
    values::duration,
)
.default("30s")
.help("Longest time that a request message takes to arrive");

pub(crate) const DEFAULT_DEADLINE: Setting<Duration> = Setting::new(
    Group::Limits,
    "default-deadline",
    "DURATION",
    values::duration,
)
.default("15s")
.help("Deadline of a call that sets none");

pub(crate) const MAX_DEADLINE: Setting<Duration> =
    Setting::new(Group::Limits, "max-deadline", "DURATION", values::duration)
        .default("60s")
        .help("Longest deadline; a later one is brought forward to it");

pub(crate) const STREAM_WINDOW: Setting<usize> =
    Setting::new(Group::Limits, "stream-window", "NUMBER", values::number)
        .default("64")
        .help("Most items of a stream in flight at a time; the client waits with those above");

pub(crate) const STREAM_IDLE_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Limits,
    "stream-idle-timeout",
    "DURATION",
    values::duration,
)
.default("5m")
.help("Time without an item in flight after which a stream is ended");

pub(crate) const MAX_CONNECTIONS: Setting<usize> =
    Setting::new(Group::Limits, "max-connections", "NUMBER", values::number)
        .default("10000")
        .help(
            "Most connections at a time; for one above, the one that has been without a \
             call for longest is closed. Each takes a file descriptor: no more than three \
             quarters of the hard limit of the process (ulimit -Hn) are used, to which the \
             soft one is raised",
        );

pub(crate) const MAX_CONNECTIONS_PER_ADDRESS: Setting<usize> = Setting::new(
    Group::Limits,
    "max-connections-per-address",
    "NUMBER",
    values::number,
)
.default("256")
.help(
    "Most connections at a time of one IPv4 address or one IPv6 network of 64 bits; one \
     above is closed at once. Not on loopback. Behind a load balancer that does not keep \
     the addresses of clients, as many as max-connections",
);

pub(crate) const MAX_CONCURRENT_STREAMS: Setting<u32> = Setting::new(
    Group::Limits,
    "max-concurrent-streams",
    "NUMBER",
    values::number,
)
.default("200")
.help("Most calls at a time on a connection");

pub(crate) const MAX_HEADER_BYTES: Setting<u32> =
    Setting::new(Group::Limits, "max-header-bytes", "BYTES", values::bytes)
        .default("16384")
        .help("Largest headers of a call; larger ones are answered with the HTTP status 431");

pub(crate) const HANDSHAKE_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Limits,
    "handshake-timeout",
    "DURATION",
    values::duration,
)
.default("10s")
.help("Longest time that a new connection takes to begin HTTP/2, TLS included");

pub(crate) const KEEPALIVE_TIME: Setting<Duration> = Setting::new(
    Group::Limits,
    "keepalive-time",
    "DURATION",
    values::duration,
)
.default("60s")
.help("Silence of a peer after which the server sends it a ping; over HTTP/1.1, which has no pings, a connection is closed if the headers of its next request take longer");

pub(crate) const KEEPALIVE_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Limits,
    "keepalive-timeout",
    "DURATION",
    values::duration,
)
.default("20s")
.help("Longest time to the answer of a ping before the connection is closed");

pub(crate) const MAX_CONNECTION_IDLE: Setting<Duration> = Setting::new(
    Group::Limits,
    "max-connection-idle",
    "DURATION",
    values::duration,
)
.default("5m")
.help("Time without a call in flight after which a connection is ended");

pub(crate) const MAX_CONNECTION_AGE: Setting<Duration> = Setting::new(
    Group::Limits,
    "max-connection-age",
    "DURATION",
    values::duration,
)
.default("5m")
.help("Age at which a connection is ended, 10% more or less by chance");

pub(crate) const MAX_CONNECTION_AGE_GRACE: Setting<Duration> = Setting::new(
    Group::Limits,
    "max-connection-age-grace",
    "DURATION",
    values::duration,
)
.default("30s")
.help("How long calls in flight may take to finish on a connection that is ended");
