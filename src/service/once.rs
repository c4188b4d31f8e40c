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

use mesibo::{Error, Operation, reply::FromReply};
use moka::{policy::EvictionPolicy, sync::Cache};
use ring::digest::{SHA256, digest};
use tokio::{sync::watch, time::timeout_at};
use tonic::{Response, Status, metadata::MetadataValue};
use uuid::Uuid;

use super::Upstream;
use crate::{
    call::{Context, Ending, Outcome},
    status::{self, Draft},
};

/// How long an answer is remembered.
const LIFETIME: Duration = Duration::from_hours(24);

/// How many answers of an RPC are remembered: above it, those that were asked for
/// least recently are forgotten.
const CAPACITY: u64 = 100_000;

/// The header that marks an answer as one that was given before.
const REPLAYED: &str = "request-replayed";

/// The once-only calls of one RPC.
pub(super) struct Once<T> {
    upstream: Upstream,
    answers: Answers<T>,
}

/// The answers of one RPC, by the ids of its requests. Clones share them.
#[derive(Clone)]
struct Answers<T>(Arc<Memory<T>>);

struct Memory<T> {
    /// Calls under way are never forgotten, however many there are.
    under_way: Mutex<HashMap<Key, UnderWay<T>>>,
    settled: Cache<Key, Settled<T>>,
}

struct UnderWay<T> {
    fingerprint: Fingerprint,
    answer: watch::Receiver<Option<Answer<T>>>,
}

#[derive(Clone)]
struct Settled<T> {
    fingerprint: Fingerprint,
    answer: Answer<T>,
}

/// An id with its caller and its app: another's id may be the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    id: Uuid,
    caller: Arc<str>,
    app: Arc<str>,
}

/// A request with an id.
#[derive(Clone)]
struct Identity {
    op: &'static str,
    key: Key,
    fingerprint: Fingerprint,
}

type Answer<T> = Result<T, Draft>;

/// The SHA-256 of a request. It is shorter than a message may be, and no other request
/// with the same one can be made.
type Fingerprint = [u8; 32];

/// Whether a request is the first with its id.
enum Claim<T: Clone + Send + Sync + 'static> {
    First(Ticket<T>),
    Repeat(watch::Receiver<Option<Answer<T>>>),
}

/// The right, and the duty, to answer for an id.
struct Ticket<T: Clone + Send + Sync + 'static> {
    answers: Answers<T>,
    identity: Identity,
    answer: watch::Sender<Option<Answer<T>>>,
    is_settled: bool,
}

impl<T: Clone + Send + Sync + 'static> Once<T> {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            answers: Answers::new(),
        }
    }

    /// Carries out an operation, unless a request with this id did so before.
    pub(super) async fn call<R: FromReply>(
        &self,
        id: Option<Uuid>,
        call: &Context,
        operation: Operation<R>,
        respond: fn(&R) -> T,
    ) -> Result<Response<T>, Status> {
        let Some(id) = id else {
            let reply = self.upstream.call(call, operation).await?;
            return Ok(Response::new(respond(&reply)));
        };
        let into_status = |draft: Draft| draft.into_status(call.record.id());
        let identity = Identity::new(id, call, &operation);
        loop {
            let claim = self.answers.claim(&identity).map_err(into_status)?;
            let mut answer = match claim {
                Claim::First(ticket) => {
                    let reply = self.first(ticket, call, operation, respond).await;
                    return reply.map(Response::new).map_err(into_status);
                }
                Claim::Repeat(answer) => answer,
            };
            match timeout_at(call.deadline(), answer.wait_for(Option::is_some)).await {
                Ok(Ok(answer)) => {
                    let answer = answer.clone().expect("the answer was waited for");
                    self.upstream.metrics().replayed(call);
                    call.record.upstream("replayed");
                    return replay(answer.map_err(into_status));
                }
                // The first was given up before it was sent: this one may claim the id.
                Ok(Err(_)) => {}
                Err(_) => {
                    let error = Error::out_of_time(&operation, 0, true);
                    return Err(into_status(self.upstream.draft(&error)));
                }
            }
        }
    }

    /// Carries out the operation of a request that is the first with its id.
    async fn first<R: FromReply>(
        &self,
        ticket: Ticket<T>,
        call: &Context,
        operation: Operation<R>,
        respond: fn(&R) -> T,
    ) -> Answer<T> {
        let audit = match self.upstream.audit(call, &operation) {
            Ok(audit) => audit,
            Err(draft) => {
                ticket.settle(Err(draft.clone()), &Ending::unaudited());
                return Err(draft);
            }
        };
        let answer = ticket.answer.subscribe();
        let upstream = self.upstream.clone();
        let settle = move |result: &Result<R, Error>, ending: &Ending| {
            let answer = match result {
                Ok(reply) => Ok(respond(reply)),
                Err(error) => Err(upstream.draft(error)),
            };
            ticket.settle(answer, ending);
        };
        match self.upstream.write(audit, call, operation, settle).await {
            Ok(reply) => Ok(respond(&reply)),
            Err(error) => match &*answer.borrow() {
                Some(Err(draft)) => Err(draft.clone()),
                // The operation runs on beyond the deadline, or was never sent.
                _ => Err(self.upstream.draft(&error)),
            },
        }
    }
}

impl Identity {
    fn new<R: FromReply>(id: Uuid, call: &Context, operation: &Operation<R>) -> Self {
        let digest = digest(&SHA256, operation.parameters().as_bytes());
        Self {
            op: operation.name(),
            key: Key {
                id,
                caller: Arc::clone(&call.caller),
                app: Arc::clone(&call.app.name),
            },
            fingerprint: digest.as_ref().try_into().expect("SHA-256 has 32 bytes"),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Answers<T> {
    fn new() -> Self {
        Self(Arc::new(Memory {
            under_way: Mutex::default(),
            settled: Cache::builder()
                .max_capacity(CAPACITY)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(LIFETIME)
                .build(),
        }))
    }

    /// Claims the id of a request.
    fn claim(&self, identity: &Identity) -> Result<Claim<T>, Draft> {
        let Identity {
            op,
            key,
            fingerprint,
        } = identity;
        let mut under_way = self.under_way();
        let (first, answer) = if let Some(running) = under_way.get(key) {
            (running.fingerprint, running.answer.clone())
        } else if let Some(settled) = self.0.settled.get(key) {
            (settled.fingerprint, watch::channel(Some(settled.answer)).1)
        } else {
            let (sender, answer) = watch::channel(None);
            let running = UnderWay {
                fingerprint: *fingerprint,
                answer,
            };
            under_way.insert(key.clone(), running);
            return Ok(Claim::First(Ticket {
                answers: self.clone(),
                identity: identity.clone(),
                answer: sender,
                is_settled: false,
            }));
        };
        if first == *fingerprint {
            Ok(Claim::Repeat(answer))
        } else {
            Err(status::request_id_reused(op))
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, UnderWay<T>>> {
        self.0
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Ticket<T> {
    /// Settles the id by the end of the operation.
    fn settle(mut self, answer: Answer<T>, ending: &Ending) {
        match ending.outcome {
            // The answer holds for every repeat.
            Outcome::Done | Outcome::Unknown => self.keep(answer),
            // Repeats that wait have deadlines of their own, and try for themselves.
            Outcome::NotDone if ending.is_given_up => self.release(),
            // The answer holds for the repeats that wait now.
            Outcome::NotDone => {
                self.release();
                self.answer.send_replace(Some(answer));
            }
        }
    }

    fn keep(&mut self, answer: Answer<T>) {
        // Before the id is no longer under way, so that it always is one of the two.
        self.answers.0.settled.insert(
            self.identity.key.clone(),
            Settled {
                fingerprint: self.identity.fingerprint,
                answer: answer.clone(),
            },
        );
        self.release();
        self.answer.send_replace(Some(answer));
    }

    fn release(&mut self) {
        self.is_settled = true;
        self.answers.under_way().remove(&self.identity.key);
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for Ticket<T> {
    fn drop(&mut self) {
        // A defect, and nobody knows what was sent by then: this holds for every repeat.
        if !self.is_settled {
            self.keep(Err(status::unknown_by_defect(self.identity.op)));
        }
    }
}

/// Marks an answer as one that was given before.
fn replay<T>(answer: Result<T, Status>) -> Result<Response<T>, Status> {
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
    use super::*;

    /// What a repeat of a request was answered by.
    fn repeat(answers: &Answers<u64>, id: u128) -> Option<Result<u64, String>> {
        let answer = match answers.claim(&identity(id)) {
            Ok(Claim::Repeat(answer)) => answer.borrow().clone()?,
            _ => return None,
        };
        Some(answer.map_err(|draft| format!("{draft:?}")))
    }

    fn identity(id: u128) -> Identity {
        Identity {
            op: "groupadd",
            key: Key {
                id: Uuid::from_u128(id),
                caller: "orders".into(),
                app: "shop".into(),
            },
            fingerprint: [0; 32],
        }
    }

    fn other_request(id: u128) -> Identity {
        Identity {
            fingerprint: [1; 32],
            ..identity(id)
        }
    }

    fn ending(outcome: Outcome) -> Ending {
        Ending {
            outcome,
            ..Ending::abandoned()
        }
    }

    fn first(answers: &Answers<u64>, id: u128) -> Ticket<u64> {
        match answers.claim(&identity(id)) {
            Ok(Claim::First(ticket)) => ticket,
            _ => panic!("{id} was claimed before"),
        }
    }

    #[test]
    fn an_id_is_remembered_with_its_answer_or_free_again() {
        let answers = Answers::new();
        first(&answers, 1).settle(Ok(7), &ending(Outcome::Done));
        assert_eq!(repeat(&answers, 1).unwrap(), Ok(7));
        let unknown = status::unknown_by_defect("groupadd");
        first(&answers, 2).settle(Err(unknown), &ending(Outcome::Unknown));
        let answer = repeat(&answers, 2).unwrap().unwrap_err();
        assert!(answer.contains("unknown"), "{answer}");
        let refused = status::request_id_reused("groupadd");
        first(&answers, 3).settle(Err(refused), &ending(Outcome::NotDone));
        first(&answers, 3).settle(Ok(8), &ending(Outcome::Done));
        assert_eq!(repeat(&answers, 3).unwrap(), Ok(8));
    }

    #[test]
    fn another_request_with_the_same_id_is_refused_whether_the_first_is_done_or_not() {
        let answers = Answers::new();
        let ticket = first(&answers, 1);
        let is_refused = || answers.claim(&other_request(1)).is_err();
        assert!(is_refused());
        ticket.settle(Ok(7), &ending(Outcome::Done));
        assert!(is_refused());
    }

    #[test]
    fn a_defect_leaves_the_id_taken() {
        let answers = Answers::new();
        drop(first(&answers, 1));
        let answer = repeat(&answers, 1).unwrap().unwrap_err();
        assert!(answer.contains("Internal"), "{answer}");
        assert!(answers.under_way().is_empty());
    }

    #[test]
    fn an_id_belongs_to_its_caller_and_its_app() {
        let answers = Answers::new();
        let mine = first(&answers, 1);
        let key = identity(1).key;
        for key in [
            Key {
                caller: "billing".into(),
                ..key.clone()
            },
            Key {
                app: "support".into(),
                ..key
            },
        ] {
            let other = Identity {
                key,
                ..other_request(1)
            };
            assert!(matches!(answers.claim(&other), Ok(Claim::First(_))));
        }
        mine.settle(Ok(7), &ending(Outcome::Done));
    }

    #[test]
    fn memory_is_bounded_and_calls_under_way_are_never_forgotten() {
        let answers = Answers::new();
        let under_way = first(&answers, 0);
        for id in 1..=150_000 {
            first(&answers, id).settle(Ok(7), &ending(Outcome::Done));
        }
        answers.0.settled.run_pending_tasks();
        assert!(answers.0.settled.entry_count() <= CAPACITY);
        assert_eq!(answers.under_way().len(), 1);
        assert!(repeat(&answers, 150_000).is_some());
        let repeated = answers.claim(&identity(0));
        assert!(matches!(repeated, Ok(Claim::Repeat(_))));
        under_way.settle(Ok(8), &ending(Outcome::Done));
    }
}
