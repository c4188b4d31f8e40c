//! The wire format: requests in all dialects, and replies.

mod dialect;
mod json;
mod params;
mod reply;

pub(crate) use self::dialect::{Dialect, read};
pub(crate) use self::params::Params;
pub(crate) use self::reply::{Code, Fields, Outcome, Refusal, Reply};
