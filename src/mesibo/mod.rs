//! A client of Mesibo's backend API, which knows nothing of gRPC.
//!
//! Build an [`Operation`], give it to [`Client::call`], and get what the
//! operation promises or an [`Error`] that says what is known about the outcome.
//!
//! - [`operation`]: what can be asked
//! - `form`: the form that it becomes
//! - `token`: the application's token, which is a part of every form
//! - [`client`]: one call, of one attempt or a few
//! - `write`: a call that changes something
//! - `exchange`: one HTTP exchange
//! - `retry`: when another attempt is safe, and worth it
//! - `progress`: how far a call has come
//! - `limit`: how many requests are in flight
//! - `breaker`: holds calls back while Mesibo does not answer
//! - `connections`: the connections, and which of them are idle
//! - [`connector`]: how they are made: TCP, the proxy, TLS
//! - `stream`: a connection, checked before it is used again
//! - [`reply`]: what the answers hold
//! - `lenient`: reading of Mesibo's loosely typed JSON
//! - [`error`]: what can go wrong
//! - `metrics`: what is counted, and the state of clients
//! - `redact`: excerpts of replies for the log, without tokens

mod breaker;
pub mod client;
mod connections;
pub mod connector;
pub mod error;
mod exchange;
mod form;
mod lenient;
mod limit;
mod metrics;
pub mod operation;
mod progress;
mod redact;
pub mod reply;
mod retry;
mod stream;
mod token;
mod write;

pub use client::{Client, Config};
pub use connector::Proxy;
pub use error::{Error, Failure};
pub use metrics::{Metrics, States};
pub use operation::{Idempotency, Operation};
