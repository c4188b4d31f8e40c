//! One call: an attempt, or a few where that is safe.

mod admission;
mod breaker;
mod client;
mod interpret;
mod limit;
mod observed;
mod retry;
mod write;

pub use client::{Client, State};
