//! One call: of one attempt, or a few where that is safe.

mod breaker;
pub(crate) mod client;
mod limit;
pub(crate) mod progress;
mod retry;
mod write;
