//! A typed gRPC facade for Mesibo's form-encoded backend API.
//!
//! A program that embeds the facade reads a [`Config`], binds a [`Facade`] and serves it.
//! [`proto`] has the generated messages, clients and servers of the contract.
//!
//! One RPC, one straight road: a service checks the request and builds an operation, the
//! client of the crate `mesibo` posts it and reads the reply, and the service answers, or
//! `status` makes a status of the failure. Imports between the modules run one way, from
//! the first of this list to the last:
//!
//! - `cli`: the commands
//! - `bulk`: files of users and messages, sent by the thousand
//! - `check`: what `serve` would do before it serves, and what it would not say
//! - `facade`: puts the parts together, as the settings say
//! - `reload`: files that are read again when they change
//! - `config`: every setting, with its default
//! - `server`: serves tonic services: connections, TLS, and what every call passes
//! - `service`: the services of the contract, one function an RPC
//! - `access`: who may call what
//! - `status`: the one road from a failure to a gRPC status
//! - `store`: what is remembered of calls that are made once only
//! - `call`: what one call carries
//! - `files`: reads the files that settings name
//! - `telemetry`: log lines, metrics and traces
//! - `descriptors`: the contract by its names, for what is not generated
//! - [`proto`]: the generated code of the contract
//! - `codec`: its messages on the wire, of which none is built that has too many fields

#[doc(hidden)]
pub mod access;
#[doc(hidden)]
pub mod bulk;
#[doc(hidden)]
pub mod call;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod cli;
mod codec;
#[doc(hidden)]
pub mod config;
mod descriptors;
mod facade;
#[doc(hidden)]
pub mod files;
#[cfg(test)]
mod fuzz;
pub mod proto;
mod reload;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod status;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod telemetry;

pub use config::Config;
pub use facade::{BindError, Facade};
