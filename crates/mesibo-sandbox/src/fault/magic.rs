//! Magic addresses: faults for those who cannot reach the API, but choose addresses.
//!
//! Each begins with `fault-`. What follows an `@` does not matter, so that addresses
//! may look like those of mail.

use std::time::Duration;

use super::effect::{Close, Effect, Malformed, Reaction};
use super::rule::{MAX_DELAY, check_error, check_status};

/// The effect that an address stands for, if it is a magic one.
pub(super) fn read(address: &str) -> Option<Effect> {
    let address = address.split_once('@').map_or(address, |(name, _)| name);
    let (kind, what) = address.strip_prefix("fault-")?.split_once('-')?;
    let reaction = match kind {
        "delay" => {
            return Some(Effect {
                delay: duration(what)?,
                reaction: Reaction::None,
            });
        }
        "slow" => Reaction::Slow(duration(what)?),
        "error" => {
            check_error(what).ok()?;
            Reaction::Error(what.to_owned())
        }
        "status" => status(what)?,
        "close" => Reaction::Close(match what {
            "before" => Close::Before,
            "after" => Close::After,
            "midway" => Close::Midway,
            _ => return None,
        }),
        "malformed" => Reaction::Malformed(match what {
            "html" => Malformed::Html,
            "truncated" => Malformed::Truncated,
            "empty" => Malformed::Empty,
            "too_large" => Malformed::TooLarge,
            "incomplete" => Malformed::Incomplete,
            _ => return None,
        }),
        _ => return None,
    };
    Some(Effect {
        delay: Duration::ZERO,
        reaction,
    })
}

/// `503`, or `429-retry-5s`.
fn status(what: &str) -> Option<Reaction> {
    let (status, retry_after) = match what.split_once("-retry-") {
        Some((status, wait)) => (status, Some(duration(wait)?)),
        None => (what, None),
    };
    let status = status.parse().ok()?;
    check_status(status).ok()?;
    Some(Reaction::Status {
        status,
        retry_after,
        location: None,
    })
}

fn duration(text: &str) -> Option<Duration> {
    let duration = humantime::parse_duration(text).ok()?;
    (duration <= MAX_DELAY).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_address_stands_for_its_effect() {
        for (address, effect) in [
            ("fault-error-NOCREDIT", "error NOCREDIT"),
            ("fault-error-", "refused without a code"),
            ("fault-error-NOCREDIT@example.com", "error NOCREDIT"),
            ("fault-status-503", "HTTP status 503"),
            (
                "fault-status-429-retry-5s",
                "HTTP status 429 with Retry-After: 5",
            ),
            ("fault-delay-1500ms", "delayed by 1s 500ms"),
            ("fault-slow-3s", "reply takes 3s"),
            ("fault-close-before", "closed before it was carried out"),
            ("fault-close-after", "carried out, then closed"),
            ("fault-malformed-too_large", "reply is larger than 2 MiB"),
        ] {
            let read = read(address).map(|effect| effect.to_string());
            assert_eq!(read.as_deref(), Some(effect), "{address}");
        }
    }

    #[test]
    fn any_other_address_is_just_an_address() {
        for address in [
            "alice",
            "fault",
            "fault-",
            "fault-x-y",
            "my-fault-delay-1s",
            "fault-delay-soon",
            "fault-delay-11m",
            "fault-status-200",
            "fault-status-99999",
            "fault-close-never",
            "fault-error-NO CREDIT",
        ] {
            assert_eq!(read(address), None, "{address}");
        }
    }
}
