//! The memory that calls take, counted before it is taken.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

/// So many bytes, and how many of them are taken. Clones share the count.
#[derive(Clone, Debug)]
pub struct Pool {
    limit: usize,
    taken: Gauge,
}

/// The memory that one call takes, of its connection's pool and of one that it shares with
/// other connections. Clones share one count; dropping the last one gives the memory back,
/// so whatever goes on beyond the end of its call keeps a clone.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pools: [Pool; 2],
    taken: AtomicUsize,
}

/// A pool has not as many bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Pool {
    /// A pool of `limit` bytes that shows in `taken` how many are taken.
    #[must_use]
    pub fn new(limit: usize, taken: Gauge) -> Self {
        Self { limit, taken }
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let amount = signed(bytes);
        // What it was before.
        let taken = self.taken.inc_by(amount);
        if taken + amount > signed(self.limit) {
            self.taken.dec_by(amount);
            return Err(Exhausted);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.taken.dec_by(signed(bytes));
    }
}

impl Memory {
    /// Takes the first bytes of a call from both pools.
    ///
    /// # Errors
    ///
    /// If one has not as many left; then none are taken.
    pub fn take(pools: [Pool; 2], bytes: usize) -> Result<Self, Exhausted> {
        let memory = Self(Arc::new(Inner {
            pools,
            taken: AtomicUsize::new(0),
        }));
        memory.take_more(bytes)?;
        Ok(memory)
    }

    /// Takes bytes of the same pools for something else, such as an item of a stream.
    ///
    /// # Errors
    ///
    /// As with [`Self::take`].
    pub fn take_another(&self, bytes: usize) -> Result<Self, Exhausted> {
        Self::take(self.0.pools.clone(), bytes)
    }

    /// Takes more bytes for the call.
    ///
    /// # Errors
    ///
    /// If a pool has not as many left; then none of them are taken.
    pub fn take_more(&self, bytes: usize) -> Result<(), Exhausted> {
        let [first, second] = &self.0.pools;
        first.take(bytes)?;
        second.take(bytes).inspect_err(|_| first.give_back(bytes))?;
        self.0.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for pool in &self.pools {
            pool.give_back(*self.taken.get_mut());
        }
    }
}

/// The type that gauges count in.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_of_both_pools_or_of_neither_and_its_last_clone_gives_back() {
        let gauges = [Gauge::default(), Gauge::default()];
        let [connection, process] = [10, 8].map(|limit| {
            let gauge = gauges[usize::from(limit == 8)].clone();
            Pool::new(limit, gauge)
        });
        let taken = || gauges.each_ref().map(Gauge::get);
        let pools = || [connection.clone(), process.clone()];

        let memory = Memory::take(pools(), 3).unwrap();
        memory.take_more(5).unwrap();
        assert_eq!(taken(), [8, 8]);
        // The connection has two left, and the process none.
        assert_eq!(memory.take_more(1), Err(Exhausted));
        assert!(Memory::take(pools(), 1).is_err());
        assert_eq!(memory.take_more(3), Err(Exhausted));
        assert_eq!(taken(), [8, 8]);

        // What is taken besides is given back by itself.
        assert!(memory.take_another(1).is_err());
        let clone = memory.clone();
        drop(memory);
        assert_eq!(taken(), [8, 8]);
        let another = clone.take_another(0).unwrap();
        drop(clone);
        assert_eq!(taken(), [0, 0]);
        another.take_more(8).unwrap();
        assert_eq!(taken(), [8, 8]);
        drop(another);
        assert_eq!(taken(), [0, 0]);
    }
}
