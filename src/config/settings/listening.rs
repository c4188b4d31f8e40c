//! The ports, and the threads that serve them.

use std::net::SocketAddr;

use http::HeaderValue;

use super::{Group, SWITCH, Setting};
use crate::{config::values, server::config::Dialect};

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

pub(crate) const PROTOCOLS: Setting<Vec<Dialect>> = Setting::new(
    Group::Listening,
    "protocols",
    "NAME,...",
    values::protocols,
)
.default("grpc,grpc-web,connect")
.help(
    "Protocols that are spoken on the gRPC port: grpc, grpc-web and connect, which takes JSON \
     and protobuf; HTTP/1.1 is spoken for the latter two",
);

pub(crate) const CORS_ORIGINS: Setting<Vec<HeaderValue>> = Setting::new(
    Group::Listening,
    "cors-origins",
    "ORIGIN,...",
    values::origins,
)
.default("")
.help(
    "Origins of web pages that may make calls from a browser, such as \
     https://console.example.com; pages of any other origin are refused",
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
