//! Fault rules: the requests that they select, and their effects.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effect::{Close, Effect, Malformed, Reaction};
use super::rate::RateLimit;
use crate::settings::is_world;
use crate::text_duration;

/// The longest delay of a request.
pub(super) const MAX_DELAY: Duration = Duration::from_mins(10);

/// The HTTP status of a request above a rate, unless the rule says otherwise.
const TOO_MANY_REQUESTS: u16 = 429;

/// A rule as the API and the file of faults have it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// The operation, where `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) op: Option<String>,
    /// An address in `addr`, `from`, `to` or `m`, or that of the user in `uid`, where
    /// `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) world: Option<String>,
    /// Hits every nth request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) every: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<f64>,
    /// Seed of the random numbers for the probability; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    /// The maximum number of requests that the rule hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<NonZeroU64>,
    /// Hits only requests above a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_limit: Option<RateLimit>,

    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "text_duration::optional"
    )]
    pub(super) delay: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "text_duration::optional"
    )]
    pub(super) retry_after: Option<Duration>,
    /// The `Location` of an HTTP redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) close: Option<Close>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) malformed: Option<Malformed>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "text_duration::optional"
    )]
    pub(super) slow: Option<Duration>,

    // Read-only fields of a listing. They are accepted, so that a listing can be put back.
    #[serde(skip_serializing)]
    matched: u64,
    #[serde(skip_serializing)]
    hits: u64,
    #[serde(skip_serializing)]
    effect: String,
}

impl Rule {
    /// Checks the rule; the error says what is allowed.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_selection()?;
        let effects = [
            ("error", self.error.is_some()),
            ("status", self.status.is_some()),
            ("close", self.close.is_some()),
            ("malformed", self.malformed.is_some()),
            ("slow", self.slow.is_some()),
        ];
        let named: Vec<_> = effects.iter().filter(|(_, set)| *set).collect();
        if named.len() > 1 {
            let (first, second) = (named[0].0, named[1].0);
            return Err(format!("{first} and {second} exclude each other"));
        }
        if named.is_empty() && self.delay.is_none() && self.rate_limit.is_none() {
            return Err(
                "it needs an effect: delay, error, status, close, malformed, slow or \
                        rate_limit"
                    .to_owned(),
            );
        }
        self.check_effects()
    }

    fn check_selection(&self) -> Result<(), String> {
        if let Some(world) = &self.world
            && !is_world(world)
        {
            return Err(format!("{world:?} is no name of a world"));
        }
        if let Some(chance) = self.probability
            && !(chance > 0.0 && chance <= 1.0)
        {
            return Err(format!(
                "the probability {chance} is not above 0 and at most 1"
            ));
        }
        if let Some(limit) = &self.rate_limit {
            limit.check()?;
        }
        let id = self.id.as_deref().unwrap_or("1");
        if !is_world(id) {
            return Err(format!(
                "{id:?} is no id: 1 to 63 letters, digits, dots, hyphens and underscores"
            ));
        }
        Ok(())
    }

    fn check_effects(&self) -> Result<(), String> {
        if let Some(error) = &self.error {
            check_error(error)?;
        }
        if let Some(status) = self.status {
            check_status(status)?;
        }
        for (name, time) in [("delay", self.delay), ("slow", self.slow)] {
            if time.is_some_and(|time| time > MAX_DELAY) {
                let most = humantime::format_duration(MAX_DELAY);
                return Err(format!("the {name} is longer than {most}"));
            }
        }
        if self.retry_after.is_some() && self.status.is_none() {
            return Err("retry_after goes with status".to_owned());
        }
        let redirects = self
            .status
            .is_some_and(|status| (300..400).contains(&status));
        match &self.location {
            Some(_) if !redirects => Err("location goes with a status from 300 to 399".to_owned()),
            Some(location) if http::HeaderValue::from_str(location).is_err() => {
                Err("location is no value of a header".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The effect on a request that the rule hits; `wait` is the time until the rate
    /// allows another request.
    pub(super) fn effect(&self, wait: Duration) -> Effect {
        Effect {
            delay: self.delay.unwrap_or_default(),
            reaction: self.reaction(wait),
        }
    }

    fn reaction(&self, wait: Duration) -> Reaction {
        if let Some(code) = &self.error {
            Reaction::Error(code.clone())
        } else if let Some(status) = self.status {
            Reaction::Status {
                status,
                retry_after: self.retry_after,
                location: self.location.clone(),
            }
        } else if let Some(close) = self.close {
            Reaction::Close(close)
        } else if let Some(malformed) = self.malformed {
            Reaction::Malformed(malformed)
        } else if let Some(time) = self.slow {
            Reaction::Slow(time)
        } else if self.rate_limit.is_some() {
            Reaction::Status {
                status: TOO_MANY_REQUESTS,
                retry_after: Some(wait),
                location: None,
            }
        } else {
            Reaction::None
        }
    }
}

/// Checks an error code: programs compare codes, so free text would test nothing.
pub(super) fn check_error(code: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if code.len() <= 63 && code.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "{code:?} is no error code: at most 63 letters, digits, dots, hyphens and underscores; \
         empty for a reply without a code"
    ))
}

pub(super) fn check_status(status: u16) -> Result<(), String> {
    if (300..600).contains(&status) && status != 304 {
        return Ok(());
    }
    Err(format!("{status} is no status from 300 to 599 but 304"))
}
