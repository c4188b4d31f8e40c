//! What a program learns of the work of its client.

use std::time::Duration;

use http::HeaderMap;

/// Learns of the work of a client, for metrics, and may add headers to its requests, for
/// tracing. Every method has a body that does nothing.
///
/// The client calls it on the hot path: an implementation must not block.
pub trait Observer: Send + Sync + 'static {
    /// An attempt of a call begins. `op` is the name of its operation.
    fn attempt(&self, op: &'static str) {
        let _ = op;
    }

    /// A call is over, after `elapsed`. `outcome` is one of
    /// [`Error::OUTCOMES`](crate::Error::OUTCOMES).
    fn call(&self, op: &'static str, outcome: &'static str, elapsed: Duration) {
        let _ = (op, outcome, elapsed);
    }

    /// A connection was opened.
    fn connection_opened(&self) {}

    /// A connection that was opened is closed.
    fn connection_closed(&self) {}

    /// A request is about to be sent with these headers.
    fn request(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

/// Learns nothing.
impl Observer for () {}
