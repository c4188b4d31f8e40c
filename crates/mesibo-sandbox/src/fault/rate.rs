//! The rate above which a rule hits.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::text_duration;

/// A number of requests in a time; this is also the size of the burst that is allowed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    requests: NonZeroU32,
    #[serde(with = "text_duration")]
    per: Duration,
}

/// A token bucket that starts full.
pub(super) struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled: Option<Instant>,
}

impl RateLimit {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.per.is_zero() || self.per > Duration::from_hours(24) {
            return Err("per of rate_limit is not above 0 and at most a day".to_owned());
        }
        Ok(())
    }
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            tokens: f64::from(limit.requests.get()),
            limit,
            filled: None,
        }
    }

    /// Counts a request: `None` if it is within the rate, or else the time until the rate
    /// allows another one.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let most = f64::from(self.limit.requests.get());
        let a_second = most / self.limit.per.as_secs_f64();
        if let Some(filled) = self.filled {
            let passed = now.saturating_duration_since(filled).as_secs_f64();
            self.tokens = most.min(self.tokens + passed * a_second);
        }
        self.filled = Some(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - self.tokens) / a_second))
    }
}
