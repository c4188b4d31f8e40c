//! Once-only calls, chosen by the caller: a repeat with the same `request_id` gets the
//! first answer, as Google's AIP-155 has it.
//!
//! An id is claimed in the store before its call is sent, and settled once the outcome is
//! known. What was surely not carried out may be tried again under its id.

use std::{sync::Arc, time::Duration};

use mesibo::{Client, Error, Operation, reply::FromReply};
use prost::Message;
use ring::digest::{SHA256, digest};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};
use tonic::{
    Response, Status,
    metadata::{MetadataMap, MetadataValue},
};
use uuid::Uuid;

use super::Upstream;
use crate::{
    call::{Context, Ending, Outcome},
    status::{self, Draft},
    store::{self, Claimed, Fingerprint, Key, Store, Ticket, Waited, directory::Write},
};

/// The header that marks an answer as one that was given before.
const REPLAYED: &str = "request-replayed";

/// The calls to Mesibo that are made once for each `request_id`. Clones share the store.
#[derive(Clone)]
pub struct Once {
    upstream: Upstream,
    store: Arc<dyn Store>,
    store_timeout: Duration,
}

/// Whether a request is the first with its id.
enum Claim {
    First(Ticket),
    Repeat(store::Outcome),
}

impl Once {
    /// Makes calls by `upstream`, and remembers them in `store`, which answers a claim
    /// within `store_timeout` or not at all.
    #[must_use]
    pub fn new(upstream: Upstream, store: Arc<dyn Store>, store_timeout: Duration) -> Self {
        Self {
            upstream,
            store,
            store_timeout,
        }
    }

    /// Carries out an operation, unless a request with this id did so before.
    pub(super) async fn call<R: FromReply, T: Message + Default + 'static>(
        &self,
        id: Option<Uuid>,
        call: &Context,
        operation: Operation<R>,
        write: Option<Write>,
        respond: fn(&R) -> T,
    ) -> Result<Response<T>, Status> {
        let Some(id) = id else {
            let reply = self.upstream.call(call, operation, write).await;
            let reply = reply.map_err(|draft| draft.into_status(call.record.id()))?;
            return Ok(Response::new(respond(&reply)));
        };
        // In a box, so that calls without an id have no room for it.
        Box::pin(self.call_once(id, call, operation, write, respond)).await
    }

    /// Carries out an operation, or gives the answer of the request that did so before.
    async fn call_once<R: FromReply, T: Message + Default + 'static>(
        &self,
        id: Uuid,
        call: &Context,
        operation: Operation<R>,
        write: Option<Write>,
        respond: fn(&R) -> T,
    ) -> Result<Response<T>, Status> {
        let into_status = |draft: Draft| draft.into_status(call.record.id());
        let claim = self.claim(id, call, &operation).await;
        match claim.map_err(into_status)? {
            Claim::First(ticket) => {
                let answer = self.first(ticket, call, operation, write, respond).await;
                answer.map(Response::new).map_err(into_status)
            }
            Claim::Repeat(outcome) => {
                self.upstream.metrics().replayed(call);
                call.record.upstream("replayed");
                replay(recall(operation.name(), outcome).map_err(into_status))
            }
        }
    }

    /// Claims the id of a request, or waits for the outcome of the call that has it.
    async fn claim<R: FromReply>(
        &self,
        id: Uuid,
        call: &Context,
        operation: &Operation<R>,
    ) -> Result<Claim, Draft> {
        let key = Key {
            app: Arc::clone(&call.app.name),
            caller: Arc::clone(&call.caller),
            rpc: call.policy.unary_name(),
            id,
        };
        let fingerprint = fingerprint(operation);
        let reused = || {
            self.upstream.metrics().request_id_reused(call);
            status::request_id_reused(operation.name())
        };
        let deadline = call.deadline();
        let failed = |error: store::Error| {
            call.record.upstream("store_failed");
            status::store_failed(operation.name(), &error)
        };
        loop {
            let claimed = self.store.claim(key.clone(), fingerprint, self.lease(call));
            let claimed = timeout_at(deadline, claimed)
                .await
                .map_err(|_| self.out_of_time(call, operation, false))?
                .map_err(failed)?;
            let (first, outcome) = match claimed {
                Claimed::Won(ticket) => return Ok(Claim::First(ticket)),
                Claimed::Settled { request, outcome } => (request, outcome),
                Claimed::UnderWay { request } if request == fingerprint => {
                    match self.store.wait(&key, deadline).await.map_err(failed)? {
                        Waited::Settled { request, outcome } => (request, outcome),
                        Waited::Released => continue,
                        Waited::StillUnderWay => {
                            return Err(self.out_of_time(call, operation, true));
                        }
                    }
                }
                Claimed::UnderWay { .. } => return Err(reused()),
            };
            if first != fingerprint {
                return Err(reused());
            }
            return Ok(Claim::Repeat(outcome));
        }
    }

    /// Carries out the operation of a request that is the first with its id.
    async fn first<R: FromReply, T: Message + 'static>(
        &self,
        ticket: Ticket,
        call: &Context,
        operation: Operation<R>,
        write: Option<Write>,
        respond: fn(&R) -> T,
    ) -> Result<T, Draft> {
        // From here on a ticket that is lost counts as sent.
        if !ticket.permit().begin() {
            return Err(self.out_of_time(call, &operation, false));
        }
        let audit = match self.upstream.audit(call, &operation) {
            Ok(audit) => audit,
            Err(draft) => {
                drop(ticket.release());
                return Err(draft);
            }
        };
        let (settled, mut settling) = oneshot::channel();
        let upstream = self.upstream.clone();
        let settle = move |result: &Result<R, Error>, ending: &Ending| {
            let settling = match (ending.outcome, result) {
                (Outcome::NotDone, _) => ticket.release(),
                (_, Ok(reply)) => {
                    let answer = respond(reply).encode_to_vec();
                    ticket.settle(store::Outcome::Done(answer.into()))
                }
                (_, Err(error)) => {
                    let answer = upstream.draft(error).to_bytes();
                    ticket.settle(store::Outcome::Unknown(answer))
                }
            };
            let _ = settled.send(settling);
        };
        let result = self
            .upstream
            .write(audit, call, operation, write, settle)
            .await;
        // A caller that has its answer, and repeats the call all the same, gets it again,
        // from any server. A store that fails makes the answer late, and no other.
        if let Ok(settling) = settling.try_recv() {
            let left = call.deadline().saturating_duration_since(Instant::now());
            let _ = timeout(self.store_timeout.min(left / 2), settling).await;
        }
        match result {
            Ok(reply) => Ok(respond(&reply)),
            Err(error) => Err(self.upstream.draft(&error)),
        }
    }

    /// The longest time that a call can take from its claim on, sent and detached at its
    /// deadline.
    fn lease(&self, call: &Context) -> Duration {
        let left = call.deadline().saturating_duration_since(Instant::now());
        left + Client::MAX_DETACHED + self.store_timeout
    }

    fn out_of_time<R>(&self, call: &Context, operation: &Operation<R>, sent: bool) -> Draft {
        let error = Error::out_of_time(operation, 0, sent);
        call.record.upstream(error.outcome());
        self.upstream.draft(&error)
    }
}

/// The fingerprint of a request. It is shorter than a message may be, and no other request
/// with the same one can be made.
fn fingerprint<R>(operation: &Operation<R>) -> Fingerprint {
    let digest = digest(&SHA256, operation.parameters().as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The answer that was given before.
fn recall<T: Message + Default + 'static>(
    op: &'static str,
    outcome: store::Outcome,
) -> Result<T, Draft> {
    match outcome {
        store::Outcome::Done(answer) => T::decode(answer).map_err(|error| {
            tracing::error!(op, %error, "an answer in the store cannot be read");
            status::answer_lost(op)
        }),
        store::Outcome::Unknown(failure) => {
            Err(Draft::from_bytes(&failure).unwrap_or_else(|| status::answer_lost(op)))
        }
    }
}

/// Whether an answer with this metadata was given before.
pub(super) fn is_replayed(metadata: &MetadataMap) -> bool {
    metadata.contains_key(REPLAYED)
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
