//! Which thread a connection goes to, and whether one should come back for another.
//!
//! Connections stay on their threads, and some have more calls than others. Threads are
//! measured, so that a new connection goes where there is time for it, and a thread that is
//! busy while another is not gives connections up: their clients come back, as they do at
//! the end of a connection's age.

use std::time::Duration;

use tokio::time::Instant;

/// How often threads are measured.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// The load of a thread that has no time for more, of 1.
const BUSY: f64 = 0.95;

/// The least difference of loads that is worth the way of a connection to another thread.
const GAP: f64 = 0.6;

/// Threads whose loads differ by no more are alike to a new connection. What comes back may go
/// to any of them, so that as much has to be left of a difference: no connection goes back and
/// forth.
const ALIKE: f64 = 0.2;

/// What a connection is taken for until its load is measured.
const NEWCOMER: f64 = 0.05;

/// How many measurements in a row have to find a thread busy.
const PATIENCE: u32 = 5;

/// How long nothing is changed after a connection was told to come back: it comes, and its
/// load is seen where it is.
const PAUSE: Duration = Duration::from_secs(5);

/// The load of threads as it was measured last.
pub(super) struct Balance {
    threads: Vec<Thread>,
    measured: Instant,
    /// When a connection may be told to come back again.
    next_move: Instant,
}

#[derive(Clone, Default)]
struct Thread {
    /// The time that it was busy since its start.
    busy: Duration,
    /// The part of the time that it was busy, from 0 to 1.
    load: f64,
    /// How many measurements in a row found it busy.
    busy_for: u32,
    /// The connections that came since it was measured.
    newcomers: u32,
}

/// A thread that is busy while another is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crowded {
    pub(super) thread: usize,
    load: f64,
    /// The most load that another thread can take over.
    room: f64,
    /// Whether one of its connections is to come back now.
    pub(super) is_due: bool,
}

impl Balance {
    pub(super) fn new(threads: usize, now: Instant) -> Self {
        Self {
            threads: vec![Thread::default(); threads],
            measured: now,
            next_move: now,
        }
    }

    /// The thread for one more connection, of so many on each: of those that have the most
    /// time, the one with the fewest.
    pub(super) fn choose(&mut self, connections: &[usize]) -> usize {
        // A connection that has just come has no load yet, and will: those that come together
        // do not all go to the same thread.
        let expected = |thread: &Thread| thread.load + f64::from(thread.newcomers) * NEWCOMER;
        let least = self.threads.iter().map(expected).fold(f64::MAX, f64::min);
        let free = self.threads.iter().zip(connections).enumerate();
        let free = free.filter(|(_, (thread, _))| expected(thread) <= least + ALIKE);
        let chosen = free.min_by_key(|(_, (_, count))| **count);
        let chosen = chosen.map_or(0, |(number, _)| number);
        self.threads[chosen].newcomers += 1;
        chosen
    }

    /// Measures the threads, by the times that they were busy since their start.
    pub(super) fn measure(&mut self, busy: &[Duration], now: Instant) {
        let passed = now.saturating_duration_since(self.measured).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        self.measured = now;
        for (thread, &busy) in self.threads.iter_mut().zip(busy) {
            let load = busy.saturating_sub(thread.busy).as_secs_f64() / passed;
            *thread = Thread {
                busy,
                load: load.min(1.0),
                busy_for: if load >= BUSY { thread.busy_for + 1 } else { 0 },
                newcomers: 0,
            };
        }
    }

    /// The busiest thread, if it is busy while another is not.
    pub(super) fn crowded(&self) -> Option<Crowded> {
        let loads = || self.threads.iter().map(|thread| thread.load).enumerate();
        let (number, load) = loads().max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let least = loads().map(|(_, load)| load).fold(f64::MAX, f64::min);
        (load >= BUSY && load - least >= GAP).then(|| Crowded {
            thread: number,
            load,
            room: load - least - ALIKE,
            is_due: self.threads[number].busy_for >= PATIENCE && self.measured >= self.next_move,
        })
    }

    /// A connection was told to come back.
    pub(super) fn moved(&mut self) {
        self.next_move = self.measured + PAUSE;
    }
}

impl Crowded {
    /// Which connection is to come back, of those of the thread, by the calls of each since
    /// the last measurement: the one with the most that another thread has time for. `None`
    /// if none has, or if a single connection is all that the thread has to do.
    pub(super) fn choose<Id>(self, connections: impl IntoIterator<Item = (Id, u64)>) -> Option<Id> {
        let active = connections.into_iter().filter(|(_, calls)| *calls > 0);
        let mut active: Vec<_> = active.collect();
        let all: u64 = active.iter().map(|(_, calls)| *calls).sum();
        active.sort_unstable_by_key(|(_, calls)| *calls);
        if active.len() < 2 {
            return None;
        }
        let load = |calls: u64| self.load * part(calls, all);
        let chosen = active
            .into_iter()
            .rev()
            .find(|&(_, calls)| load(calls) <= self.room);
        chosen.map(|(id, _)| id)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a load is no exact number")]
fn part(calls: u64, all: u64) -> f64 {
    calls as f64 / all as f64
}

#[cfg(test)]
mod tests;
