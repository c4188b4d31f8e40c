//! How a program follows the work of its client.

use std::time::Duration;

use http::HeaderMap;

/// Is told of the work of a client, for metrics, and may add headers to its requests, for
/// tracing. Each method does nothing by default.
///
/// The client calls the methods on the hot path: an implementation must not block.
pub trait Observer: Send + Sync + 'static {
    /// An attempt of a call begins. `op` is the name of the operation, one of
    /// [`op::ALL`](crate::operation::op::ALL).
    fn attempt(&self, op: &'static str) {
        let _ = op;
    }

    /// A call is over, all attempts and pauses included. `outcome` is one of
    /// [`Error::OUTCOMES`](crate::Error::OUTCOMES). Each call ends exactly once, a call
    /// whose future is dropped too.
    fn call(&self, op: &'static str, outcome: &'static str, elapsed: Duration) {
        let _ = (op, outcome, elapsed);
    }

    /// A connection was opened. `protocol` is one of
    /// [`Protocol::NAMES`](crate::Protocol::NAMES).
    fn connection_opened(&self, protocol: &'static str) {
        let _ = protocol;
    }

    /// A connection that was opened, with this `protocol`, is closed.
    fn connection_closed(&self, protocol: &'static str) {
        let _ = protocol;
    }

    /// A request is about to be sent with `headers`.
    fn request(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

/// Ignores everything.
impl Observer for () {}
