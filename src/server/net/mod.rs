//! Connections: accepting them, TLS, the threads that serve them, and their end.
//!
//! - `listener`: a listening port
//! - `accept`: accepting connections
//! - `connection`: the life of one connection
//! - `workers`: the threads that serve connections
//! - [`tls`]: TLS, and the certificates of clients

mod accept;
mod connection;
pub(super) mod listener;
pub mod tls;
pub(super) mod workers;
