//! Once-only calls, chosen by the caller: a repeat with the same `request_id` gets the
//! first answer, as Google's AIP-155 has it.
//!
//! What is remembered is what was, or may have been, carried out. A request that surely
//! was not may be tried again under its id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use ring::digest::{SHA256, digest};
use tokio::{sync::watch, time::timeout_at};
use tonic::{Response, Status, metadata::MetadataValue};
use uuid::Uuid;

use super::{Call, Metrics};
use crate::{
    mesibo::{Error, Failure, Operation, reply::FromReply},
    status,
};

/// How long an answer is remembered.
const LIFETIME: Duration = Duration::from_hours(24);

/// How many answers of an RPC are remembered: above it, those that were asked for
/// least recently are forgotten.
const CAPACITY: u64 = 100_000;

/// The header that marks an answer as one that was given before.
const REPLAYED: &str = "request-replayed";

/// The answers of one RPC, by the ids of its requests. An id belongs to its caller and
/// its app: another's may be the same.
pub(super) struct Once<T>(Arc<Memory<T>>);

struct Memory<T> {
    metrics: Metrics,
    /// Calls in flight are never forgotten, however many there are.
    under_way: Mutex<HashMap<Key, UnderWay<T>>>,
    done: Cache<Key, Done<T>>,
}

struct UnderWay<T> {
    request: Fingerprint,
    answer: watch::Receiver<Option<Answer<T>>>,
}

/// Whose id it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    id: Uuid,
    caller: Arc<str>,
    app: Arc<str>,
}

#[derive(Clone)]
struct Done<T> {
    request: Fingerprint,
    answer: Answer<T>,
}

type Answer<T> = Result<T, Status>;

/// What tells requests apart. It is shorter than a message may be, and cannot be made
/// up for another.
type Fingerprint = [u8; 32];

/// Whose turn it is.
enum Turn<T: Clone + Send + Sync + 'static> {
    First(Ticket<T>),
    Again(watch::Receiver<Option<Answer<T>>>),
}

/// The right, and the duty, to answer for an id.
struct Ticket<T: Clone + Send + Sync + 'static> {
    memory: Arc<Memory<T>>,
    op: &'static str,
    key: Key,
    request: Fingerprint,
    answer: watch::Sender<Option<Answer<T>>>,
    is_settled: bool,
}

impl<T: Clone + Send + Sync + 'static> Once<T> {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Memory {
            metrics,
            under_way: Mutex::default(),
            done: Cache::builder()
                .max_capacity(CAPACITY)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(LIFETIME)
                .build(),
        }))
    }

    /// Calls Mesibo, unless a request with this id did so before.
    pub(super) async fn call<R: FromReply>(
        &self,
        id: Option<Uuid>,
        call: Call,
        operation: Operation<R>,
        respond: fn(&R) -> T,
    ) -> Result<Response<T>, Status> {
        let Some(id) = id else {
            let reply = call.call(operation).await?;
            return Ok(Response::new(respond(&reply)));
        };
        let key = Key {
            id,
            caller: Arc::clone(&call.admitted.caller.name),
            app: Arc::clone(&call.admitted.app.name),
        };
        loop {
            let mut answer = match self.turn(&key, &operation)? {
                Turn::First(ticket) => {
                    let codes = call.codes.clone();
                    let learn = move |result: &Result<R, Error>| match result {
                        Ok(reply) => ticket.remember(Ok(respond(reply))),
                        Err(error) => {
                            let status = status::from_error(error, &codes);
                            match error.failure() {
                                _ if error.outcome_unknown() => ticket.remember(Err(status)),
                                Failure::OutOfTime { .. } => ticket.hand_over(),
                                _ => ticket.forget(Err(status)),
                            }
                        }
                    };
                    let reply = call.write(operation, learn).await?;
                    return Ok(Response::new(respond(&reply)));
                }
                Turn::Again(answer) => answer,
            };
            match timeout_at(call.deadline, answer.wait_for(Option::is_some)).await {
                Ok(Ok(answer)) => {
                    self.0.metrics.replayed(&call.admitted);
                    call.record.upstream("replayed");
                    return replay(answer.clone().expect("it was waited for"));
                }
                // The first was given up before it was sent, so it is this one's turn.
                Ok(Err(_)) => {}
                Err(_) => {
                    let error = Error::out_of_time(&operation, 0, true);
                    return Err(status::from_error(&error, &call.codes));
                }
            }
        }
    }

    fn turn<R: FromReply>(&self, key: &Key, operation: &Operation<R>) -> Result<Turn<T>, Status> {
        let request = fingerprint(operation);
        let mut under_way = self.0.under_way();
        let (first, answer) = if let Some(running) = under_way.get(key) {
            (running.request, running.answer.clone())
        } else if let Some(done) = self.0.done.get(key) {
            (done.request, watch::channel(Some(done.answer)).1)
        } else {
            let (sender, answer) = watch::channel(None);
            under_way.insert(key.clone(), UnderWay { request, answer });
            return Ok(Turn::First(Ticket {
                memory: Arc::clone(&self.0),
                op: operation.name(),
                key: key.clone(),
                request,
                answer: sender,
                is_settled: false,
            }));
        };
        if first == request {
            Ok(Turn::Again(answer))
        } else {
            Err(status::request_id_reused(operation.name()))
        }
    }
}

impl<T> Memory<T> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, UnderWay<T>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Ticket<T> {
    /// The answer holds for every repeat.
    fn remember(mut self, answer: Answer<T>) {
        self.keep(answer);
    }

    /// The answer holds for those who wait for it now.
    fn forget(mut self, answer: Answer<T>) {
        self.settle();
        self.answer.send_replace(Some(answer));
    }

    fn keep(&mut self, answer: Answer<T>) {
        // Before it is no longer under way, so that it always is one of the two.
        self.memory.done.insert(
            self.key.clone(),
            Done {
                request: self.request,
                answer: answer.clone(),
            },
        );
        self.settle();
        self.answer.send_replace(Some(answer));
    }

    /// There is no answer, and those who wait for it try for themselves.
    fn hand_over(mut self) {
        self.settle();
    }

    fn settle(&mut self) {
        self.is_settled = true;
        self.memory.under_way().remove(&self.key);
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for Ticket<T> {
    fn drop(&mut self) {
        // Only a defect leaves a ticket unanswered, and nobody knows what was sent by
        // then: this holds for every repeat.
        if !self.is_settled {
            self.keep(Err(status::defect(self.op)));
        }
    }
}

fn fingerprint<R: FromReply>(operation: &Operation<R>) -> Fingerprint {
    let digest = digest(&SHA256, operation.parameters().as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn replay<T>(answer: Answer<T>) -> Result<Response<T>, Status> {
    let mark = MetadataValue::from_static("true");
    match answer {
        Ok(answer) => {
            let mut response = Response::new(answer);
            response.metadata_mut().insert(REPLAYED, mark);
            Ok(response)
        }
        Err(mut status) => {
            status.metadata_mut().insert(REPLAYED, mark);
            Err(status)
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::mesibo::operation::GroupOptions;

    fn operation(name: &str) -> Operation<crate::mesibo::reply::Group> {
        let options = GroupOptions {
            name: Some(name),
            ..GroupOptions::default()
        };
        Operation::group_add(&options, &[])
    }

    fn key(id: u128) -> Key {
        Key {
            id: Uuid::from_u128(id),
            caller: "orders".into(),
            app: "shop".into(),
        }
    }

    fn first(once: &Once<u64>, id: u128) -> Ticket<u64> {
        match once.turn(&key(id), &operation("team")) {
            Ok(Turn::First(ticket)) => ticket,
            _ => panic!("{id} was there before"),
        }
    }

    fn again(once: &Once<u64>, id: u128) -> Option<Answer<u64>> {
        match once.turn(&key(id), &operation("team")) {
            Ok(Turn::Again(answer)) => answer.borrow().clone(),
            _ => None,
        }
    }

    #[test]
    fn an_id_is_remembered_with_its_answer_or_free_again() {
        let once = Once::new(Metrics::default());
        first(&once, 1).remember(Ok(7));
        assert_eq!(again(&once, 1).unwrap().unwrap(), 7);
        let unknown = Status::unknown("who knows");
        first(&once, 2).remember(Err(unknown));
        assert_eq!(again(&once, 2).unwrap().unwrap_err().code(), Code::Unknown);
        first(&once, 3).forget(Err(Status::unavailable("not sent")));
        first(&once, 3).remember(Ok(8));
        assert_eq!(again(&once, 3).unwrap().unwrap(), 8);
    }

    #[test]
    fn another_request_with_the_same_id_is_refused_whether_the_first_is_done_or_not() {
        let once = Once::new(Metrics::default());
        let ticket = first(&once, 1);
        let other = || once.turn(&key(1), &operation("crew")).err().unwrap();
        assert_eq!(other().code(), Code::InvalidArgument);
        ticket.remember(Ok(7));
        assert_eq!(other().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_defect_leaves_the_id_taken() {
        let once = Once::new(Metrics::default());
        drop(first(&once, 1));
        assert_eq!(again(&once, 1).unwrap().unwrap_err().code(), Code::Internal);
        assert!(once.0.under_way().is_empty());
    }

    #[test]
    fn an_id_belongs_to_its_caller_and_its_app() {
        let once = Once::new(Metrics::default());
        let mine = first(&once, 1);
        for other in [
            Key {
                caller: "billing".into(),
                ..key(1)
            },
            Key {
                app: "support".into(),
                ..key(1)
            },
        ] {
            let turn = once.turn(&other, &operation("crew"));
            assert!(matches!(turn, Ok(Turn::First(_))));
        }
        mine.remember(Ok(7));
    }

    #[test]
    fn memory_is_bounded_and_calls_under_way_are_never_forgotten() {
        let once = Once::new(Metrics::default());
        let under_way = first(&once, 0);
        for id in 1..=150_000 {
            first(&once, id).remember(Ok(7));
        }
        once.0.done.run_pending_tasks();
        assert!(once.0.done.entry_count() <= CAPACITY);
        assert_eq!(once.0.under_way().len(), 1);
        assert!(again(&once, 150_000).is_some());
        let asked_again = once.turn(&key(0), &operation("team"));
        assert!(matches!(asked_again, Ok(Turn::Again(_))));
        under_way.remember(Ok(8));
    }
}
