//! Lines that a peer can cause as often as it likes: one a second for each kind, with the
//! number of those that were left out.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The shortest time between two lines of a kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// Kinds of lines, each with what was left out.
pub struct Sampler<K> {
    /// How many kinds are kept apart at the most.
    limit: usize,
    kinds: Mutex<HashMap<K, Kind>>,
}

struct Kind {
    /// When there was a line last.
    last: Instant,
    /// How many were left out since.
    skipped: u64,
}

/// Whether there is to be a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A line, which says how many before it were left out.
    Line {
        /// How many there were since the last line of its kind.
        skipped: u64,
    },
    /// No line: the event is counted.
    Skipped,
    /// No line, and no count, for there are too many kinds of events.
    NoRoom,
}

impl<K: Eq + Hash + Clone> Sampler<K> {
    /// Keeps at most `limit` kinds apart.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            kinds: Mutex::default(),
        }
    }

    /// Takes a sample of a kind.
    pub fn take(&self, kind: &K) -> Sample {
        self.take_at(kind, Instant::now())
    }

    fn take_at(&self, key: &K, now: Instant) -> Sample {
        let mut kinds = self.kinds();
        let Some(kind) = kinds.get_mut(key) else {
            if kinds.len() >= self.limit {
                return Sample::NoRoom;
            }
            let kind = Kind {
                last: now,
                skipped: 0,
            };
            kinds.insert(key.clone(), kind);
            return Sample::Line { skipped: 0 };
        };
        if now.duration_since(kind.last) < INTERVAL {
            kind.skipped += 1;
            return Sample::Skipped;
        }
        kind.last = now;
        let skipped = std::mem::take(&mut kind.skipped);
        Sample::Line { skipped }
    }

    /// Forgets the kinds that have had no line for as long as this, and gives those of
    /// which some were left out.
    pub fn sweep(&self, age: Duration) -> Vec<(K, u64)> {
        self.sweep_at(Instant::now(), age)
    }

    fn sweep_at(&self, now: Instant, age: Duration) -> Vec<(K, u64)> {
        let old = |_: &K, kind: &mut Kind| now.duration_since(kind.last) >= age;
        let mut kinds = self.kinds();
        kinds
            .extract_if(old)
            .filter(|(_, kind)| kind.skipped > 0)
            .map(|(key, kind)| (key, kind.skipped))
            .collect()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<K, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_a_line_a_second_and_nothing_is_left_uncounted() {
        let sampler = Sampler::new(2);
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let line = |skipped| Sample::Line { skipped };
        assert_eq!(sampler.take_at(&"a", at(0)), line(0));
        assert_eq!(sampler.take_at(&"a", at(10)), Sample::Skipped);
        assert_eq!(sampler.take_at(&"b", at(10)), line(0));
        assert_eq!(sampler.take_at(&"a", at(999)), Sample::Skipped);
        assert_eq!(sampler.take_at(&"c", at(999)), Sample::NoRoom);
        assert_eq!(sampler.take_at(&"a", at(1_000)), line(2));
        assert_eq!(sampler.take_at(&"a", at(1_001)), Sample::Skipped);
        let sweep = |now| sampler.sweep_at(now, INTERVAL);
        assert_eq!(sweep(at(1_500)), []);
        assert_eq!(sampler.take_at(&"c", at(1_500)), line(0));
        assert_eq!(sweep(at(3_000)), [("a", 1)]);
        assert_eq!(sweep(at(3_000)), []);
    }
}
