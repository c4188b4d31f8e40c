//! Connections to Mesibo, and what is exchanged on them.

mod body;
mod connection;
mod connector;
mod exchange;
mod pool;
mod progress;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use exchange::{Answer, Body, Template, post};
pub(crate) use pool::Pool;
pub(crate) use progress::Progress;
