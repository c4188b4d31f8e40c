//! Connections: accepting them, TLS, the threads that serve them, and their end.
//!
//! - `listener`: a listening port
//! - `accept`: accepting connections
//! - `balance`: which thread a connection goes to, and which comes back for another
//! - `connections`: how many there may be, and which has to go for another
//! - `descriptors`: what connections may take of the file descriptors
//! - `http1`: the answer to a client that speaks HTTP/1
//! - `connection`: the life of one connection
//! - `proxy_protocol`: whose a connection is that a balancer passes on
//! - `rewound`: a stream whose first bytes are read again
//! - `workers`: the threads that serve connections
//! - [`tls`]: TLS, and the certificates of clients

mod accept;
mod balance;
mod connection;
pub(super) mod connections;
pub(super) mod descriptors;
mod http1;
pub(super) mod listener;
mod proxy_protocol;
mod rewound;
pub mod tls;
pub(super) mod workers;
