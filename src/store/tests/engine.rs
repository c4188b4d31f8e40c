//! How what waits is written, with a database that does as the test says.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::{Claimed, LONG, REQUEST, Store as _, done, key, won};
use crate::store::{
    Backlog, Error, NoObserver, Observer,
    database::{Answers, Batch, Database, Failure, Seen},
    durable::Durable,
    engine::Engine,
    queue::Queue,
    ticket::{Claim, Settlement, Sink as _},
};

/// A database that writes when it is let to, and fails when it is told to.
struct Gate {
    turns: Arc<Semaphore>,
    failures: Arc<Mutex<VecDeque<Failure>>>,
    batches: mpsc::UnboundedSender<(usize, usize)>,
    rows: HashMap<Uuid, Seen>,
}

struct Handle {
    turns: Arc<Semaphore>,
    failures: Arc<Mutex<VecDeque<Failure>>>,
    /// How many claims and how many settlements were written together.
    batches: mpsc::UnboundedReceiver<(usize, usize)>,
}

impl Database for Gate {
    async fn write(&mut self, batch: &Batch<'_>) -> Answers {
        let sizes = (batch.claims.len(), batch.settlements.len());
        self.batches.send(sizes).unwrap();
        self.turns.acquire().await.unwrap().forget();
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Answers {
                seen: Err(failure.clone()),
                settled: Err(failure),
            };
        }
        for settlement in &batch.settlements {
            if settlement.outcome.is_none() {
                self.rows.remove(&settlement.claim.key.id);
            }
        }
        for (new, seen) in batch.claims.iter().zip(batch.all_won()) {
            self.rows.entry(new.claim.key.id).or_insert(seen);
        }
        let seen = batch.keys().map(|key| {
            let row = self.rows.get(&key.id);
            row.cloned().unwrap_or(Seen::Absent)
        });
        Answers {
            seen: Ok(seen.collect()),
            settled: Ok(vec![true; batch.settlements.len()]),
        }
    }

    async fn close(self) {}
}

/// A store over a database that is open.
pub(super) fn over(
    database: impl Database + Send + 'static,
    timeout: Duration,
    observer: Arc<dyn Observer>,
) -> Durable {
    let (queue, jobs) = Queue::new(observer);
    let store = Durable {
        directory: None,
        queue: Arc::new(queue),
        signals: Arc::default(),
        timeout,
    };
    let engine = Engine::new(
        database,
        jobs,
        Arc::clone(&store.queue),
        Arc::clone(&store.signals),
        timeout,
    );
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(engine.run());
    });
    store
}

fn gated(timeout: Duration) -> (Durable, Handle) {
    let (batches, received) = mpsc::unbounded_channel();
    let handle = Handle {
        turns: Arc::new(Semaphore::new(0)),
        failures: Arc::default(),
        batches: received,
    };
    let gate = Gate {
        turns: Arc::clone(&handle.turns),
        failures: Arc::clone(&handle.failures),
        batches,
        rows: HashMap::new(),
    };
    (over(gate, timeout, Arc::new(NoObserver)), handle)
}

impl Handle {
    async fn batch(&mut self) -> (usize, usize) {
        self.batches.recv().await.unwrap()
    }

    fn let_through(&self, batches: usize) {
        self.turns.add_permits(batches);
    }
}

fn failure(is_transient: bool) -> Failure {
    Failure {
        is_of_data: false,
        is_transient,
        cause: "as the test says".into(),
    }
}

#[tokio::test]
async fn what_comes_while_the_database_is_at_work_goes_together() {
    let (store, mut gate) = gated(LONG);
    let first = store.claim(key(0), REQUEST, LONG);
    let rest = async {
        assert_eq!(gate.batch().await, (1, 0));
        let claims = (1..=40).map(|id| store.claim(key(id), REQUEST, LONG));
        let claims = futures_util::future::join_all(claims);
        let release = async {
            while store.backlog().claims < 41 {
                tokio::task::yield_now().await;
            }
            gate.let_through(1_000);
            gate.batch().await
        };
        tokio::join!(claims, release)
    };
    let (first, (rest, sizes)) = tokio::join!(first, rest);
    assert!(matches!(first, Ok(Claimed::Won(_))));
    assert!(
        rest.iter()
            .all(|claimed| matches!(claimed, Ok(Claimed::Won(_))))
    );
    assert_eq!(sizes, (40, 0));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_calls_that_go_away_give_their_places_up() {
    let (store, mut gate) = gated(LONG);
    let mut waiting = Vec::new();
    let refused = loop {
        let id = waiting.len() as u128;
        let mut claim = store.claim(key(id), REQUEST, LONG);
        match poll_fn(|cx| Poll::Ready(claim.as_mut().poll(cx))).await {
            Poll::Pending => waiting.push(claim),
            Poll::Ready(answer) => break answer,
        }
    };
    assert!(
        matches!(refused, Err(Error::Overloaded { .. })),
        "{refused:?}"
    );
    assert_eq!(waiting.len(), 4_096);
    let (n_first, _) = gate.batch().await;
    // Those that are being written, and nobody else.
    waiting.truncate(n_first);
    gate.let_through(1);
    for claim in waiting {
        assert!(matches!(claim.await, Ok(Claimed::Won(_))));
    }
    gate.let_through(1_000);
    // The dropped tickets' releases come next; the calls that went away never do.
    while store.backlog() != Backlog::default() {
        tokio::task::yield_now().await;
    }
    let mut claims = n_first;
    while let Ok((more, _)) = gate.batches.try_recv() {
        claims += more;
    }
    assert_eq!(claims, n_first);
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_told() {
    let (store, gate) = gated(LONG);
    gate.let_through(1_000);
    gate.failures
        .lock()
        .unwrap()
        .extend([failure(true), failure(true)]);
    drop(won(&store, 1).await);
    while store.backlog() != Backlog::default() {
        tokio::task::yield_now().await;
    }
    gate.failures.lock().unwrap().push_back(failure(false));
    let refused = store.claim(key(2), REQUEST, LONG).await;
    assert!(
        matches!(refused, Err(Error::Unavailable { .. })),
        "{refused:?}"
    );
    drop(won(&store, 2).await);
}

#[tokio::test]
async fn a_claim_that_is_not_answered_in_time_is_released_should_it_have_been_written() {
    let (store, mut gate) = gated(Duration::from_millis(50));
    let late = store.claim(key(1), REQUEST, LONG).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
    assert_eq!(gate.batch().await, (1, 0));
    gate.let_through(1_000);
    // The claim was written after all, and its ticket is dropped, which releases it.
    assert_eq!(gate.batch().await, (0, 1));
    while store.backlog() != Backlog::default() {
        tokio::task::yield_now().await;
    }
    drop(won(&store, 1).await);
}

#[tokio::test]
async fn a_settlement_is_tried_until_its_lease_has_passed() {
    let (store, gate) = gated(LONG);
    gate.let_through(1_000_000);
    let kept = won(&store, 1).await;
    gate.failures
        .lock()
        .unwrap()
        .extend(vec![failure(false); 4]);
    assert!(kept.settle(done(b"")).await);
    assert!(gate.failures.lock().unwrap().is_empty());

    let lease = Duration::from_millis(100);
    let Ok(Claimed::Won(lost)) = store.claim(key(2), REQUEST, lease).await else {
        panic!("it was taken");
    };
    gate.failures
        .lock()
        .unwrap()
        .extend(vec![failure(true); 10_000]);
    assert!(!lost.settle(done(b"")).await);
    assert_eq!(store.backlog(), Backlog::default());
}

#[tokio::test]
async fn of_too_many_settlements_the_last_is_given_up() {
    let (store, _gate) = gated(LONG);
    let settle = |id| {
        let (written, answer) = crate::store::reply::channel();
        store.queue.settle(Settlement {
            claim: Claim {
                key: key(id),
                ticket: store.queue.tickets.next(),
            },
            deadline: tokio::time::Instant::now() + LONG,
            outcome: None,
            written,
        });
        answer
    };
    let kept: Vec<_> = (0..16_384).map(settle).collect();
    assert!(settle(20_000).await.is_err());
    assert_eq!(store.backlog().settlements, kept.len());
}
