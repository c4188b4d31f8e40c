//! When another attempt is safe and worthwhile.

use std::time::Duration;

use tokio::time::Instant;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{error::Failure, wire::Idempotency};

/// Maximum number of attempts of a call besides the first.
const MAX_RETRIES: u32 = 2;

/// Backoff before the second attempt, doubled before each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// Longest backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The budget for the retries of all calls of a client. If everything were retried during an
/// outage, the retries would prolong it, so there are as many as a fifth of the calls, and
/// three a second for clients that make few calls.
pub(super) struct Retries {
    budget: TpsBudget,
}

impl Default for Retries {
    fn default() -> Self {
        let window = Duration::from_secs(10);
        Self {
            budget: TpsBudget::new(window, 3, 0.2),
        }
    }
}

impl Retries {
    /// A call begins.
    pub(super) fn deposit(&self) {
        self.budget.deposit();
    }

    /// How long to wait before the next attempt of a call, or `None` if there must be no
    /// other. `attempts` is how many were made.
    pub(super) fn delay(
        &self,
        failure: &Failure,
        idempotency: Idempotency,
        attempts: u32,
        deadline: Instant,
    ) -> Option<Duration> {
        let retries = attempts
            .checked_sub(1)
            .filter(|&retries| retries < MAX_RETRIES)?;
        let asked = repeatable(failure, idempotency)?;
        let delay = asked.max(backoff(retries));
        let fits = Instant::now()
            .checked_add(delay)
            .is_some_and(|next| next < deadline);
        (fits && self.budget.withdraw()).then_some(delay)
    }
}

/// The shortest delay after which an operation that failed like this can be repeated, or
/// `None` if it must not be. What may have been sent is repeated only if it changes nothing.
fn repeatable(failure: &Failure, idempotency: Idempotency) -> Option<Duration> {
    match failure {
        Failure::Unreachable => Some(Duration::ZERO),
        Failure::ConnectionLost if idempotency == Idempotency::Safe => Some(Duration::ZERO),
        Failure::Http {
            status: 429 | 502 | 503 | 504,
            retry_after,
        } if idempotency == Idempotency::Safe => Some(retry_after.unwrap_or_default()),
        _ => None,
    }
}

/// A random time up to the bound ("full jitter"), so that calls that failed at the same time
/// are not repeated at the same time.
fn backoff(retries: u32) -> Duration {
    let bound = FIRST_BACKOFF
        .saturating_mul(1 << retries.min(16))
        .min(MAX_BACKOFF);
    bound.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: u16, retry_after: Option<u64>) -> Failure {
        Failure::Http {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn delay(failure: &Failure, idempotency: Idempotency, attempts: u32) -> Option<Duration> {
        let deadline = Instant::now() + Duration::from_mins(1);
        Retries::default().delay(failure, idempotency, attempts, deadline)
    }

    #[test]
    fn what_was_not_sent_is_repeated_whatever_it_is() {
        for idempotency in [
            Idempotency::Safe,
            Idempotency::Idempotent,
            Idempotency::NotIdempotent,
        ] {
            assert!(delay(&Failure::Unreachable, idempotency, 1).is_some());
        }
    }

    #[test]
    fn what_was_sent_is_repeated_only_if_it_changes_nothing() {
        for failure in [
            Failure::ConnectionLost,
            http(429, None),
            http(502, None),
            http(503, None),
            http(504, None),
        ] {
            assert!(delay(&failure, Idempotency::Safe, 1).is_some(), "{failure}");
            assert!(delay(&failure, Idempotency::Idempotent, 1).is_none());
            assert!(delay(&failure, Idempotency::NotIdempotent, 1).is_none());
        }
    }

    #[test]
    fn what_another_attempt_does_not_mend_is_not_repeated() {
        let retry_after = Duration::ZERO;
        for failure in [
            http(500, None),
            http(404, None),
            Failure::Refused {
                code: None,
                excerpt: None,
                retry_after: None,
            },
            Failure::Redirect { status: 302 },
            Failure::Overloaded { retry_after },
            Failure::Down { retry_after },
            Failure::OutOfTime { sent: false },
            Failure::Cancelled,
            Failure::Malformed {
                problem: "",
                excerpt: String::new(),
            },
        ] {
            assert!(delay(&failure, Idempotency::Safe, 1).is_none(), "{failure}");
        }
    }

    #[test]
    fn there_are_two_retries_with_a_backoff_that_doubles() {
        for _ in 0..100 {
            let delay = |attempts| delay(&Failure::Unreachable, Idempotency::Safe, attempts);
            assert!(delay(1).unwrap() <= FIRST_BACKOFF);
            assert!(delay(2).unwrap() <= FIRST_BACKOFF * 2);
            assert!(delay(3).is_none());
        }
    }

    #[test]
    fn the_backend_may_ask_for_a_longer_delay_if_it_fits_into_the_deadline() {
        let seven = http(503, Some(7));
        assert_eq!(
            delay(&seven, Idempotency::Safe, 1),
            Some(Duration::from_secs(7))
        );
        for too_long in [60, u64::MAX] {
            assert!(delay(&http(503, Some(too_long)), Idempotency::Safe, 1).is_none());
        }
    }

    #[test]
    fn retries_are_at_most_a_fifth_of_the_calls_and_a_few() {
        let retries = Retries::default();
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut allowed = 0;
        for _ in 0..10_000 {
            retries.deposit();
            let failure = Failure::Unreachable;
            allowed += u32::from(
                retries
                    .delay(&failure, Idempotency::Safe, 1, deadline)
                    .is_some(),
            );
        }
        // The three a second of a window of 10 s are 30; a test that takes longer gets more.
        assert!((2_000..2_100).contains(&allowed), "{allowed}");
    }
}
