//! Connections to Mesibo, and what is exchanged on them.

mod answer;
mod body;
mod connection;
mod connector;
mod exchange;
mod http2;
mod opener;
mod own;
mod pool;
mod progress;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use answer::{Answer, Body};
pub(crate) use exchange::{Template, post};
pub(crate) use pool::Pool;
pub(crate) use progress::Progress;
