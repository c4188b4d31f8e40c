//! The ports, and the threads that serve them.

use std::net::SocketAddr;

use super::{Group, SWITCH, Setting};
use crate::config::values;

pub(crate) const LISTEN: Setting<SocketAddr> =
    Setting::new(Group::Listening, "listen", "ADDR", values::address)
        .default("127.0.0.1:50051")
        .common()
        .help("IP address and port to serve gRPC on; port 0 lets the system choose");

pub(crate) const HEALTH_LISTEN: Setting<SocketAddr> =
    Setting::new(Group::Listening, "health-listen", "ADDR", values::address).help(
        "IP address and port to serve health on as well, without TLS, for the probes of \
         Kubernetes; none if not set",
    );

pub(crate) const PROXY_PROTOCOL: Setting<bool> =
    Setting::new(Group::Listening, "proxy-protocol", SWITCH, values::switch)
        .default("false")
        .help(
            "Take the addresses of clients from a load balancer, which sends them by version 2 \
             of the PROXY protocol; nobody else may reach the gRPC port then",
        );

pub(crate) const WORKER_THREADS: Setting<usize> = Setting::new(
    Group::Listening,
    "worker-threads",
    "NUMBER",
    values::threads,
)
.help(
    "Threads that serve calls, each with connections of its own; as many as there are \
         processors if not set",
);
