//! The store in this process: nothing survives it, and nothing is shared.

mod rows;

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    select,
    time::{Instant, sleep_until},
};

use self::rows::{Name, Row, Rows, State};
use super::{
    Backlog, Claimed, Config, Error, Fingerprint, Key, Store, Waited,
    observer::{ClaimResult, Event, Observer, SettleResult},
    queue::Tickets,
    signals::Signals,
    ticket::{Claim, Settlement, Sink, Ticket},
};

/// The store in this process. Clones share it.
#[derive(Clone)]
pub(super) struct Memory(Arc<Inner>);

struct Inner {
    callers: Mutex<HashMap<Arc<str>, Rows>>,
    signals: Signals,
    tickets: Tickets,
    observer: Arc<dyn Observer>,
    retention: Duration,
    ids_per_caller: usize,
}

impl Memory {
    pub(super) fn new(config: &Config, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Inner {
            callers: Mutex::default(),
            signals: Signals::default(),
            tickets: Tickets::new(),
            observer,
            retention: config.retention,
            ids_per_caller: config.ids_per_caller.max(1),
        }))
    }

    fn claim_now(&self, key: Key, request: Fingerprint, lease: Duration) -> Claimed {
        let now = Instant::now();
        let mut callers = self.0.callers();
        let caller = callers.entry(Arc::clone(&key.caller)).or_default();
        caller.forget(now, self.0.retention);
        let name = name(&key);
        if let Some(row) = caller.look(&name, now, self.0.ids_per_caller) {
            let request = row.request;
            return match &row.state {
                State::UnderWay { .. } => Claimed::UnderWay { request },
                State::Settled(outcome) => Claimed::Settled {
                    request,
                    outcome: outcome.clone(),
                },
            };
        }
        let ticket = self.0.tickets.next();
        let expires = now + lease;
        let row = Row {
            ticket,
            request,
            created: now,
            state: State::UnderWay { expires },
        };
        caller.insert(name, row);
        let sink = Arc::clone(&self.0) as Arc<dyn Sink>;
        Claimed::Won(Ticket::new(Claim { key, ticket }, expires, sink))
    }

    async fn wait_for(&self, key: &Key, until: Instant) -> Waited {
        let subscription = self.0.signals.subscribe(key.id);
        loop {
            let mut signal = pin!(subscription.signal.notified());
            // Before the row is read, so that no settlement falls in between.
            signal.as_mut().enable();
            let expires = match self.0.look(key) {
                Ok(expires) => expires,
                Err(waited) => return waited,
            };
            if Instant::now() >= until {
                return Waited::StillUnderWay;
            }
            select! {
                () = signal => {}
                () = sleep_until(expires.min(until)) => {}
            }
        }
    }
}

impl Inner {
    fn callers(&self) -> MutexGuard<'_, HashMap<Arc<str>, Rows>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the lease of a call that is under way passes, or what came of it.
    fn look(&self, key: &Key) -> Result<Instant, Waited> {
        let mut callers = self.callers();
        let caller = callers.get_mut(&key.caller).ok_or(Waited::Released)?;
        let row = caller
            .look(&name(key), Instant::now(), self.ids_per_caller)
            .ok_or(Waited::Released)?;
        match &row.state {
            State::UnderWay { expires } => Ok(*expires),
            State::Settled(outcome) => Err(Waited::Settled {
                request: row.request,
                outcome: outcome.clone(),
            }),
        }
    }
}

impl Sink for Inner {
    fn settle(&self, settlement: Settlement) {
        let Settlement {
            claim,
            outcome,
            written,
            ..
        } = settlement;
        let name = name(&claim.key);
        let is_written = self
            .callers()
            .get_mut(&claim.key.caller)
            .is_some_and(|caller| caller.end(&name, claim.ticket, outcome, self.ids_per_caller));
        self.signals.wake(&claim.key.id);
        let result = if is_written {
            SettleResult::Written
        } else {
            SettleResult::TooLate
        };
        self.observer.observe(Event::Settled(result));
        written.send(is_written);
    }
}

impl Store for Memory {
    fn claim(
        &self,
        key: Key,
        request: Fingerprint,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Claimed, Error>> {
        Box::pin(async move {
            let start = Instant::now();
            let answer = Ok(self.claim_now(key, request, lease));
            self.0.observer.observe(Event::Claimed {
                result: ClaimResult::of(&answer),
                took: start.elapsed(),
            });
            answer
        })
    }

    fn wait<'a>(&'a self, key: &'a Key, until: Instant) -> BoxFuture<'a, Result<Waited, Error>> {
        Box::pin(async move { Ok(self.wait_for(key, until).await) })
    }

    fn forget_app(&self, app: &str) {
        for caller in self.0.callers().values_mut() {
            caller.forget_app(app);
        }
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn name(key: &Key) -> Name {
    (Arc::clone(&key.app), key.rpc, key.id)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::{Location, NoObserver, Outcome};

    const LEASE: Duration = Duration::from_mins(1);

    fn memory(ids_per_caller: usize) -> Memory {
        let config = Config {
            ids_per_caller,
            ..Config::new(Location::Memory)
        };
        Memory::new(&config, Arc::new(NoObserver))
    }

    fn claim(memory: &Memory, caller: &str, id: u128) -> Claimed {
        let key = Key {
            app: "shop".into(),
            caller: caller.into(),
            rpc: "mesibo.v1.MessageService/SendMessage",
            id: Uuid::from_u128(id),
        };
        memory.claim_now(key, [7; 32], LEASE)
    }

    fn make_call(memory: &Memory, caller: &str, id: u128) {
        let Claimed::Won(ticket) = claim(memory, caller, id) else {
            panic!("{caller} {id} was there before");
        };
        drop(ticket.settle(Outcome::Done(bytes::Bytes::new())));
    }

    #[tokio::test]
    async fn the_oldest_ids_of_a_caller_make_room_and_never_those_under_way_or_anothers() {
        let memory = memory(100);
        make_call(&memory, "billing", 1);
        let under_way = claim(&memory, "orders", 0);
        for id in 1..=150 {
            make_call(&memory, "orders", id);
        }
        assert_eq!(memory.0.callers()["orders"].len(), 101);
        for (caller, id) in [("billing", 1), ("orders", 51), ("orders", 150)] {
            let again = claim(&memory, caller, id);
            assert!(
                matches!(again, Claimed::Settled { .. }),
                "{caller} {id}: {again:?}"
            );
        }
        assert!(matches!(
            claim(&memory, "orders", 0),
            Claimed::UnderWay { .. }
        ));
        drop(under_way);
        assert!(matches!(claim(&memory, "orders", 50), Claimed::Won(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn ids_are_forgotten_after_the_retention_and_not_before() {
        let memory = memory(100);
        make_call(&memory, "orders", 1);
        tokio::time::advance(Duration::from_hours(23)).await;
        make_call(&memory, "orders", 2);
        assert!(matches!(
            claim(&memory, "orders", 1),
            Claimed::Settled { .. }
        ));
        tokio::time::advance(Duration::from_hours(1)).await;
        assert!(matches!(claim(&memory, "orders", 1), Claimed::Won(_)));
        assert!(matches!(
            claim(&memory, "orders", 2),
            Claimed::Settled { .. }
        ));
    }

    #[tokio::test]
    async fn nothing_is_left_of_calls_that_waited() {
        let memory = memory(100);
        let claimed = claim(&memory, "orders", 1);
        let Claimed::Won(ticket) = claimed else {
            panic!("{claimed:?}");
        };
        let key = Key {
            app: "shop".into(),
            caller: "orders".into(),
            rpc: "mesibo.v1.MessageService/SendMessage",
            id: Uuid::from_u128(1),
        };
        let until = Instant::now() + LEASE;
        let (one, other, _) = tokio::join!(
            memory.wait_for(&key, until),
            memory.wait_for(&key, until),
            ticket.release()
        );
        assert_eq!((one, other), (Waited::Released, Waited::Released));
        assert!(memory.0.signals.is_empty());
    }
}
