//! Connections to Mesibo, and what is exchanged on them.

pub(crate) mod connector;
pub(crate) mod exchange;
pub(crate) mod pool;
mod stream;
