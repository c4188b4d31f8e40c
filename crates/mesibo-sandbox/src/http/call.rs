//! A request to the backend API: read, hit by faults, carried out, answered, logged.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;

use super::respond::{self, Hangup};
use crate::backend::OPERATIONS;
use crate::body;
use crate::clock::Moment;
use crate::fault::{Plan, Reaction};
use crate::hub::Hub;
use crate::requests::{Ids, MASK, Outcome, Record, excerpt, masked};
use crate::settings::{DEFAULT_TOKEN, DEFAULT_WORLD};
use crate::wire::{self, Dialect, Params, Refusal, Reply};

/// The most addresses that a record names.
const MAX_ADDRESSES: usize = 100;

pub(super) async fn answer(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut pending = Pending::new(Arc::clone(&hub), &head);
    // HEAD is refused as well: it would carry an operation out and drop the reply.
    if head.method != Method::GET && head.method != Method::POST {
        pending.reject(StatusCode::METHOD_NOT_ALLOWED);
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, POST")]).into_response();
    }
    let body = match body::read(body, body::BODY_LIMIT, &hub).await {
        Ok(body) => body,
        Err(status) => {
            pending.reject(status);
            return status.into_response();
        }
    };
    let (params, dialect) = wire::read(&head, body.bytes.clone()).await;
    drop(body);
    carry_out(&hub, pending, params, dialect).await
}

async fn carry_out(hub: &Hub, mut pending: Pending, params: Params, dialect: Dialect) -> Response {
    pending.describe(&params, dialect);
    let (world, plan) = hub.change(|state| {
        let world = state.worlds.enter(&params);
        let plan = state.plan(world.as_deref().ok(), &params);
        (world, plan)
    });
    if let Ok(world) = &world {
        pending.world.clone_from(world);
    }
    let reaction = pending.wait(plan).await;

    let op = params.optional_text("op").unwrap_or_default();
    let reply = match &reaction {
        Reaction::Error(code) => {
            pending.record.error = Some(code.clone());
            Reply::with_error(op, params.optional_text("id"), code)
        }
        reaction if reaction.carries_out() => {
            let world = world.as_deref().map_err(|refusal: &Refusal| *refusal);
            let now = Moment::now();
            // Watchers are notified when the request is logged.
            let reply = hub.with(|state| state.worlds.answer(world, &params, now));
            pending.carried_out(&params, &reply)
        }
        _ => String::new(),
    };
    let response = respond::build(&reaction, op, reply.clone());
    pending.answered(&params, &reaction, reply, &response);
    response
}

/// A request that is being answered. Its record is written when it is dropped, so that a
/// request whose client goes away is logged as well.
struct Pending {
    hub: Arc<Hub>,
    /// The world in whose log it is written.
    world: String,
    begun: Instant,
    record: Record,
}

impl Pending {
    fn new(hub: Arc<Hub>, head: &Parts) -> Self {
        Self {
            hub,
            world: DEFAULT_WORLD.to_owned(),
            begun: Instant::now(),
            record: Record {
                id: 0,
                time: Moment::now(),
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                dialect: None,
                op: String::new(),
                form: Vec::new(),
                outcome: Outcome::Abandoned,
                status: None,
                error: None,
                parameter: None,
                ignored: Vec::new(),
                reply: None,
                duration_ms: 0.0,
                fault: None,
                ids: Ids::default(),
                addresses: Vec::new(),
            },
        }
    }

    fn reject(&mut self, status: StatusCode) {
        self.record.outcome = Outcome::Rejected;
        self.record.status = Some(status.as_u16());
    }

    fn describe(&mut self, params: &Params, dialect: Dialect) {
        self.record.dialect = Some(dialect);
        self.record.form = masked(params);
        let op = self.record.form.iter().rev().find(|(name, _)| name == "op");
        self.record.op = op.map(|(_, op)| op.clone()).unwrap_or_default();
        self.record.ids = Ids::read(params, None);
        let addresses = params.addresses().take(MAX_ADDRESSES);
        self.record.addresses = addresses.map(excerpt).collect();
    }

    /// Waits for the delay of the plan, and returns its reaction.
    async fn wait(&mut self, plan: Option<Plan>) -> Reaction {
        let Some(Plan { hit, effect }) = plan else {
            return Reaction::None;
        };
        self.record.fault = Some(hit);
        if !effect.delay.is_zero() {
            tokio::time::sleep(effect.delay).await;
        }
        effect.reaction
    }

    fn carried_out(&mut self, params: &Params, reply: &Reply) -> String {
        let record = &mut self.record;
        let value = Value::from(reply);
        match &reply.outcome {
            Ok(_) => {
                record.outcome = Outcome::Done;
                record.ids = Ids::read(params, Some(&value));
                let ignored = params.unused().into_iter().map(excerpt);
                record.ignored = ignored.collect();
            }
            Err(refusal) => {
                record.outcome = Outcome::Refused;
                record.error = Some(refusal.code.name());
                record.parameter = refusal.parameter;
            }
        }
        value.to_string()
    }

    fn answered(
        &mut self,
        params: &Params,
        reaction: &Reaction,
        mut reply: String,
        response: &Response,
    ) {
        if !reaction.carries_out() {
            self.record.outcome = Outcome::Faulted;
        }
        if response.extensions().get::<Hangup>().is_none() {
            self.record.status = Some(response.status().as_u16());
        }
        if !reply.is_empty() {
            // An `op` or an `id` comes back as it was sent, and may be the token.
            let token = params.optional_text("token").unwrap_or_default();
            if !token.is_empty() && !token.starts_with(DEFAULT_TOKEN) {
                reply = reply.replace(token, MASK);
            }
            self.record.reply = Some(excerpt(&reply));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let record = &mut self.record;
        record.duration_ms = self.begun.elapsed().as_secs_f64() * 1000.0;
        // Another text may be anything, a misplaced token, too.
        let op = OPERATIONS.iter().find(|op| **op == record.op);
        tracing::info!(
            op = op.copied().unwrap_or("unknown"),
            outcome = ?record.outcome,
            error = record.error.as_deref(),
            parameter = record.parameter,
            ignored = (!record.ignored.is_empty()).then(|| format!("{:?}", record.ignored)),
            fault = record.fault.as_ref().map(|hit| hit.effect.as_str()),
            status = record.status,
            world = self.world,
            duration_ms = record.duration_ms,
            "sandbox answered a request"
        );
        let record = record.clone();
        self.hub.change(|state| {
            let world = state.worlds.make(&self.world);
            world.requests.push(record);
            world.revisions.requests += 1;
        });
    }
}
