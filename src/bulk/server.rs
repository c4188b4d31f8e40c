//! A running server, and the attempts at what it did not do.

use std::time::Duration;

use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use crate::status::ServerChannel;

/// Most attempts, one after the other, that bring nothing.
const MAX_ATTEMPTS: u32 = 6;

/// The pause before the second attempt, which doubles with each that follows.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A running server, and what calls show it.
pub struct Server {
    /// The connection.
    pub channel: ServerChannel,
    /// The metadata of every call.
    pub metadata: MetadataMap,
}

/// How many attempts in a row have brought nothing.
#[derive(Debug, Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// An attempt has brought something.
    pub(super) fn succeed(&mut self) {
        self.0 = 0;
    }

    /// The pause before the next attempt, after one that ended with this status and brought
    /// nothing. `None` if no other is worth it.
    pub(super) fn fail(&mut self, status: &Status) -> Option<Duration> {
        self.0 += 1;
        if self.0 > MAX_ATTEMPTS || !may_pass(status) {
            return None;
        }
        let asked = status.get_details_retry_info();
        let asked = asked.and_then(|info| info.retry_delay).unwrap_or_default();
        Some(asked.min(LONGEST_PAUSE).max(PAUSE * 2_u32.pow(self.0 - 1)))
    }
}

/// Whether what ended with this status may succeed at another time.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
    )
}

/// A status in a line.
pub(super) fn text_of(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_attempt_and_begin_again_with_a_success() {
        let mut attempts = Attempts::default();
        let lost = Status::unavailable("");
        for seconds in [1, 2, 4, 8, 16, 32] {
            assert_eq!(attempts.fail(&lost), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(attempts.fail(&lost), None);
        attempts.succeed();
        assert_eq!(attempts.fail(&lost), Some(PAUSE));
        assert_eq!(attempts.fail(&Status::permission_denied("")), None);
    }

    #[test]
    fn a_server_says_how_long_to_wait_within_a_minute() {
        for (asked, expected) in [(0, 1), (7, 7), (3600, 60)] {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(asked)));
            let status = Status::with_error_details(Code::ResourceExhausted, "", details);
            let pause = Attempts::default().fail(&status);
            assert_eq!(pause, Some(Duration::from_secs(expected)));
        }
    }
}
