//! The keys of all callers: until when each is valid, and when it was last used.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, family::Family, gauge::Gauge},
};
use tokio::time::interval;

use super::{
    caller::{Caller, Callers},
    key::{Key, KeyHash},
};
use crate::call::Denial;

/// How long before its end the log warns of a key.
const NOTICE: Duration = Duration::from_hours(7 * 24);

/// How often ends are looked for.
const INTERVAL: Duration = Duration::from_mins(1);

/// The keys of all callers, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<KeyHash, Known>);

/// What is known of a key.
#[derive(Debug)]
struct Known {
    key: Key,
    caller: Arc<Caller>,
    state: Arc<State>,
}

/// What is seen of a key while it is in use, in seconds since 1970. 0 is never.
#[derive(Debug, Default)]
struct State {
    used: AtomicU64,
    /// When the log had a line about its use after its end.
    told: AtomicU64,
}

/// The times of the keys in the metrics, as long as the settings have them.
pub struct KeyTimes(pub(super) Arc<ArcSwap<Callers>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKey {
    caller: Arc<str>,
    key: String,
}

impl Keys {
    pub(super) fn new(callers: &[Arc<Caller>]) -> Self {
        let of_caller = |caller: &Arc<Caller>| {
            let caller = Arc::clone(caller);
            let keys = caller.keys.clone();
            keys.into_iter().map(move |key| {
                let known = Known {
                    key,
                    caller: Arc::clone(&caller),
                    state: Arc::default(),
                };
                (key.hash, known)
            })
        };
        Self(callers.iter().flat_map(of_caller).collect())
    }

    /// Goes on with what is known of the same keys of the same callers.
    pub(super) fn go_on_from(&mut self, others: &Self) {
        for (hash, known) in &mut self.0 {
            let old = others.0.get(hash);
            if let Some(old) = old.filter(|old| old.caller.name == known.caller.name) {
                known.state = Arc::clone(&old.state);
            }
        }
    }

    /// The caller who shows this key, if it is valid now.
    pub(super) fn caller(&self, key: &[u8]) -> Result<&Arc<Caller>, Denial> {
        let known = self.0.get(&KeyHash::of(key)).ok_or(Denial::WrongKey)?;
        let now = SystemTime::now();
        if known.key.is_over(now) {
            known.tell_of_use_after_end(now);
            return Err(Denial::ExpiredKey {
                caller: Arc::clone(&known.caller.name),
            });
        }
        known.state.use_at(seconds(now));
        Ok(&known.caller)
    }
}

impl Known {
    /// Once a minute at the most: whoever has the key can make any number of calls.
    fn tell_of_use_after_end(&self, now: SystemTime) {
        let (now, told) = (seconds(now), self.state.told.load(Ordering::Relaxed));
        let state = &self.state.told;
        if now.saturating_sub(told) >= 60
            && state
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(
                caller = &*self.caller.name,
                key = self.key.hash.id(),
                "a key was used after its not-after, and the call refused; the caller needs \
                 a new key"
            );
        }
    }

    fn labels(&self) -> OfKey {
        OfKey {
            caller: Arc::clone(&self.caller.name),
            key: self.key.hash.id(),
        }
    }
}

impl State {
    /// A key is used by many threads at a time, and changes once a second at the most.
    fn use_at(&self, now: u64) {
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

impl Collector for KeyTimes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let expiry = Family::<OfKey, Gauge>::default();
        let last_used = Family::<OfKey, Gauge>::default();
        let set = |family: &Family<OfKey, Gauge>, known: &Known, seconds: u64| {
            let gauge = family.get_or_create_owned(&known.labels());
            gauge.set(seconds.try_into().unwrap_or(i64::MAX));
        };
        for known in self.0.load().keys().0.values() {
            set(&last_used, known, known.state.used.load(Ordering::Relaxed));
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
        for known in callers.load().keys().0.values() {
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

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(not_after: Option<SystemTime>) -> Key {
        let hash = KeyHash::of(b"key");
        Key { hash, not_after }
    }

    #[test]
    fn a_key_is_valid_up_to_its_end() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        assert!(!key(None).is_over(now));
        assert!(!key(Some(now)).is_over(now));
        assert!(!key(Some(now + second)).is_over(now));
        assert!(key(Some(now - second)).is_over(now));
    }
}
