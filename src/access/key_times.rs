//! When keys end and were last used: metrics, and warnings in the log.

use std::{
    collections::HashSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, family::Family, gauge::Gauge},
};
use tokio::time::interval;

use super::{
    callers::Callers,
    keys::{Known, seconds},
};

/// How long before its end the log warns of a key.
const NOTICE: Duration = Duration::from_hours(7 * 24);

/// How often ends are looked for.
const INTERVAL: Duration = Duration::from_mins(1);

/// The times of the keys in the metrics, as long as the settings have them.
pub struct KeyTimes(pub(super) Arc<ArcSwap<Callers>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKey {
    caller: Arc<str>,
    key: String,
}

impl OfKey {
    fn of(known: &Known) -> Self {
        Self {
            caller: Arc::clone(&known.caller.name),
            key: known.key.hash.id(),
        }
    }
}

impl Collector for KeyTimes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let expiry = Family::<OfKey, Gauge>::default();
        let last_used = Family::<OfKey, Gauge>::default();
        let set = |family: &Family<OfKey, Gauge>, known: &Known, seconds: u64| {
            let gauge = family.get_or_create_owned(&OfKey::of(known));
            gauge.set(seconds.try_into().unwrap_or(i64::MAX));
        };
        for known in self.0.load().keys().iter() {
            set(&last_used, known, known.last_used());
            if let Some(end) = known.key.not_after {
                set(&expiry, known, seconds(end));
            }
        }
        for (name, help, family) in [
            (
                "key_expiry_timestamp_seconds",
                "When a key with not-after ends, in seconds since 1970",
                expiry,
            ),
            (
                "key_last_used_timestamp_seconds",
                "When a key was last used, in seconds since 1970, or 0",
                last_used,
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode(encoder)?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyTimes")
    }
}

/// Warns of each key once, from a week before its end on.
pub(super) async fn warn_of_ends(callers: &ArcSwap<Callers>) {
    let mut ticks = interval(INTERVAL);
    let mut told = HashSet::new();
    loop {
        ticks.tick().await;
        let now = SystemTime::now();
        for known in callers.load().keys().iter() {
            let Some(end) = known.key.not_after else {
                continue;
            };
            if now + NOTICE < end || !told.insert(known.key) {
                continue;
            }
            tracing::warn!(
                caller = &*known.caller.name,
                key = known.key.hash.id(),
                not_after = %humantime::format_rfc3339_seconds(end),
                "a key ends, or has ended, at its not-after: give the caller a new key, and \
                 take this one out of the settings"
            );
        }
    }
}
