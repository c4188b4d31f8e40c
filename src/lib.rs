//! A typed gRPC facade for Mesibo's form-encoded backend API.
//!
//! One RPC, one straight road: a service checks the request and builds an
//! operation, the client posts it and reads the reply, and the service answers, or
//! a status does.
//!
//! - [`cli`]: the command line
//! - [`config`]: every setting, with its default
//! - [`proto`]: the generated code of the contract
//! - [`facade`]: puts the parts together, as the settings say
//! - [`access`]: who may call what
//! - [`apps`]: the applications that the facade stands in front of
//! - [`service`]: the front, one function an RPC
//! - [`mesibo`]: the back, a client of Mesibo's backend API
//! - [`status`]: the one road from a failure to a gRPC status
//! - [`server`]: the gRPC server around the services
//! - [`reload`]: files that are read again when they change
//! - [`record`]: what the log tells of a call at its end
//! - [`telemetry`]: logs and traces
//! - `lines`: the way of log lines to standard error
//! - [`metrics`]: what is counted, for Prometheus
//! - [`sandbox`]: an emulator of Mesibo's backend, for work without an account

pub mod access;
pub mod apps;
pub mod cli;
pub mod config;
pub mod facade;
mod lines;
pub mod mesibo;
pub mod metrics;
pub mod proto;
pub mod record;
pub mod reload;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod status;
pub mod telemetry;
