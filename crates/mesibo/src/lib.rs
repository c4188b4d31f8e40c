//! A client of Mesibo's backend API.
//!
//! Build an [`Operation`], give it to [`Client::call`], and get what the
//! operation promises or an [`Error`] that says what is known about the outcome.

mod call;
mod config;
mod error;
mod net;
mod observer;
mod wire;

pub use call::client::{Client, State};
pub use config::{Config, Proxy, is_loopback};
pub use error::{Error, Failure, chain};
pub use observer::Observer;
pub use wire::{
    operation::{self, Idempotency, Operation},
    reply,
};
