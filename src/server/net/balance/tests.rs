//! A model: threads that are as busy as their connections make them, and clients that come
//! back when they are told to, in a time that is only counted.

use proptest::{collection::vec, prop_assert, strategy::Strategy as _};

use super::*;
use crate::fuzz;

/// A server.
struct Model {
    balance: Balance,
    now: Instant,
    /// How long each thread was busy.
    busy: Vec<Duration>,
    /// The thread of each connection, and the load that its calls want.
    connections: Vec<(usize, f64)>,
}

impl Model {
    /// Connections that come while nothing is to do, and then want so much.
    fn new(threads: usize, loads: &[f64]) -> Self {
        let now = Instant::now();
        let mut model = Self {
            balance: Balance::new(threads, now),
            now,
            busy: vec![Duration::ZERO; threads],
            connections: Vec::new(),
        };
        for _ in loads {
            model.connect(0.0);
        }
        for ((_, load), &wanted) in model.connections.iter_mut().zip(loads) {
            *load = wanted;
        }
        model
    }

    fn connect(&mut self, load: f64) -> usize {
        let mut counts = vec![0; self.busy.len()];
        for (thread, _) in &self.connections {
            counts[*thread] += 1;
        }
        let thread = self.balance.choose(&counts);
        self.connections.push((thread, load));
        thread
    }

    /// The load that the connections of each thread want.
    fn wanted(&self) -> Vec<f64> {
        let mut wanted = vec![0.0; self.busy.len()];
        for (thread, load) in &self.connections {
            wanted[*thread] += load;
        }
        wanted
    }

    fn most_wanted(&self) -> f64 {
        self.wanted().into_iter().fold(0.0, f64::max)
    }

    /// Lets a time pass, and gives the number of connections that came back in it.
    fn run(&mut self, time: Duration) -> usize {
        let mut moves = 0;
        for _ in 0..time.as_secs() {
            self.now += EVERY;
            let wanted = self.wanted();
            for (busy, wanted) in self.busy.iter_mut().zip(&wanted) {
                *busy += EVERY.mul_f64(wanted.min(1.0));
            }
            self.balance.measure(&self.busy, self.now);
            let Some(crowded) = self.balance.crowded().filter(|it| it.is_due) else {
                continue;
            };
            let calls = self.connections.iter().enumerate();
            let calls = calls.filter(|(_, (thread, _))| *thread == crowded.thread);
            // A thread with too much to do answers a part of the calls of each.
            let answered = 1e6 / wanted[crowded.thread].max(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let calls = calls.map(|(number, (_, load))| (number, (load * answered) as u64));
            if let Some(number) = crowded.choose(calls) {
                self.balance.moved();
                let (_, load) = self.connections.remove(number);
                self.connect(load);
                moves += 1;
            }
        }
        moves
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn connections_that_turn_out_to_be_hot_on_two_of_sixteen_threads_are_spread() {
    // Connections come in turn: every sixteenth is on the same thread.
    let loads: Vec<_> = (0..64)
        .map(|number| if number % 16 < 2 { 0.35 } else { 0.05 })
        .collect();
    let mut model = Model::new(16, &loads);
    assert!(model.most_wanted() > 1.3);
    let moves = model.run(MINUTE);
    assert!((4..=8).contains(&moves), "{moves}");
    assert!(model.most_wanted() < BUSY, "{:?}", model.wanted());
    assert_eq!(model.run(10 * MINUTE), 0, "all is well");
}

#[test]
fn a_connection_that_needs_a_thread_for_itself_keeps_it_and_others_go() {
    let mut model = Model::new(2, &[1.5]);
    assert_eq!(model.run(10 * MINUTE), 0, "no other thread helps it");
    // The next comes to the other thread, and both of these two stay there.
    assert_ne!(model.connect(0.2), model.connections[0].0);
    assert_ne!(model.connect(0.2), model.connections[0].0);
    assert_eq!(model.run(10 * MINUTE), 0);

    let mut model = Model::new(2, &[1.5, 0.0, 0.2]);
    assert_eq!(model.run(MINUTE), 1);
    let (hot, _) = model.connections[0];
    assert_eq!(model.wanted()[hot].to_bits(), 1.5_f64.to_bits());
}

#[test]
fn a_connection_goes_where_there_is_time_and_those_that_come_together_are_spread() {
    let mut model = Model::new(2, &[0.7, 0.0, 0.0, 0.0]);
    model.run(EVERY);
    // Both have two connections, and one of the first thread is hot.
    assert_eq!(model.connect(0.1), 1);
    let mut came = [0; 2];
    for _ in 0..20 {
        came[model.connect(0.1)] += 1;
    }
    assert!(came[0] > 0, "they do not all go to the same: {came:?}");
}

#[test]
fn a_short_burst_moves_nothing() {
    let mut model = Model::new(2, &[0.5, 0.0, 0.5, 0.0]);
    for _ in 0..100 {
        assert_eq!(model.run(2 * EVERY), 0);
        let busy = std::mem::take(&mut model.connections);
        assert_eq!(model.run(EVERY), 0);
        model.connections = busy;
    }
}

#[test]
fn whatever_is_wanted_connections_come_to_rest_and_no_thread_has_more_than_at_first() {
    let loads = vec((0_u32..150).prop_map(|load| f64::from(load) / 100.0), 1..40);
    fuzz::holds(&(2_usize..17, loads), |(threads, loads)| {
        let mut model = Model::new(threads, &loads);
        let most = model.most_wanted();
        model.run(10 * MINUTE);
        prop_assert!(model.most_wanted() <= most + 1e-9);
        prop_assert!(model.run(5 * MINUTE) == 0, "{:?}", model.wanted());
        Ok(())
    });
}
