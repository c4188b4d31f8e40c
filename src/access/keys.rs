//! The keys of all callers: until when each is valid, and when it was last used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use hashbrown::HashMap;

use super::{
    caller::Caller,
    key::{Key, KeyHash},
};
use crate::call::Denial;

/// The keys of all callers, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<KeyHash, Known>);

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) caller: Arc<Caller>,
    state: Arc<State>,
}

/// What is seen of a key while it is in use, in seconds since 1970. 0 is never.
#[derive(Debug, Default)]
struct State {
    used: AtomicU64,
    /// When the log had a line about its use after its end.
    told: AtomicU64,
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

    /// What is known of each key.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.0.values()
    }

    /// The caller with the key of this hash, if it is valid now.
    pub(super) fn caller_of(&self, hash: &KeyHash) -> Result<&Arc<Caller>, Denial> {
        let known = self.0.get(hash).ok_or(Denial::WrongKey)?;
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
    /// When the key was last used, in seconds since 1970. 0 is never.
    pub(super) fn last_used(&self) -> u64 {
        self.state.used.load(Ordering::Relaxed)
    }

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
}

impl State {
    /// A key is used by many threads at a time, and changes once a second at the most.
    fn use_at(&self, now: u64) {
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
