//! What the metrics of all rooms have in common.

use prometheus_client::metrics::histogram::Histogram;

/// The prefix of all metrics that have no conventional name.
pub const PREFIX: &str = "mesibo_grpc";

/// The bounds of histograms of times, in seconds: from an answer of the facade alone to
/// the longest deadline.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// A histogram of times in seconds.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}
