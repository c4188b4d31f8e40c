//! What is decided before a service has the call: whether it is one, who makes it, and by when
//! it must be answered.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::body::Body;

use super::{
    Begun, Stack, browsers,
    call::Call,
    health::Watches,
    protocol::{self, Form},
    request_body::RequestBody,
    response,
    response_body::Bounds,
    terms::{Pauses, Terms},
    timeout,
    translation::Translation,
    usage::Usage,
};
use crate::{
    access::{Admitted, Standing},
    call::{Context, Denial, Memory, Peer, Policy, Record, context::Due, policy::Audience},
    server::config::{Deadlines, MAX_HEALTH_REQUEST_BYTES, MAX_REFLECTION_REQUEST_BYTES},
    status::{self, Draft},
};

impl Stack {
    /// Begins a call: its service answers it, unless it is refused.
    pub(super) fn begin(
        &self,
        request: Request<RequestBody>,
        form: Option<Form>,
        call: &Call,
        peer: &Peer,
        usage: &Arc<Usage>,
    ) -> Result<Begun, Box<Response<Body>>> {
        let form = self.open_door(&request, form, call.policy())?;
        let admit = || {
            let _entered = call.span().enter();
            self.admit(request, form, call, peer, usage)
        };
        panic::catch_unwind(AssertUnwindSafe(admit))
            .unwrap_or_else(|_| Err(self.panicked()))
            .map_err(|draft| Box::new(response(draft, call)))
    }

    /// The form of a call. What is no call, or one that a web page must not make, is refused.
    fn open_door(
        &self,
        request: &Request<RequestBody>,
        form: Option<Form>,
        policy: Option<&'static Policy>,
    ) -> Result<Form, Box<Response<Body>>> {
        if let Some(refusal) = protocol::refuse(request, form, policy, &self.doors) {
            return Err(refusal.into());
        }
        let form = form.unwrap_or(Form::Grpc);
        if form == Form::Grpc {
            return Ok(form);
        }
        let guard = self.guard.as_ref();
        let is_open = guard.is_some_and(|guard| guard.access.callers().is_empty());
        match browsers::refuse(request, &self.doors, is_open) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(form),
        }
    }

    /// Admits a call, and hands it to its service.
    fn admit(
        &self,
        mut request: Request<RequestBody>,
        form: Form,
        call: &Call,
        peer: &Peer,
        usage: &Arc<Usage>,
    ) -> Result<Begun, Draft> {
        let (record, policy) = (call.record(), call.policy());
        let standing = self.guard.as_ref().zip(policy);
        let standing =
            standing.and_then(|(it, policy)| it.access.standing(policy, request.headers(), peer));
        let admitted = self
            .admit_caller(&mut request, policy, record)
            .inspect_err(|denial| record.denied(denial.clone()))
            .map_err(|denial| status::denied(&denial))?;
        let Some(policy) = policy else {
            return Err(status::unknown_method(request.uri().path()));
        };
        let due = due(self.shared.deadlines, policy, form, request.headers())?;
        let memory = self
            .budget
            .take(usage, admitted.is_some(), policy, request.headers())
            .map_err(|_| status::request_memory())?;
        let translation = Translation::of(form, policy, request.headers_mut())?;
        let terms = self.terms(policy, memory.clone());
        request.body_mut().admit(terms, translation);
        let bounds = Bounds {
            due: due.of_call(),
            revoked: standing.map(Standing::revoked),
            active: admitted.as_ref().map(|_| usage.calls_of_callers.begin()),
            memory: Some(memory.clone()),
        };
        if let (Some(admitted), Some(guard)) = (admitted, &self.guard) {
            let context = Context {
                policy,
                caller: admitted.caller,
                app: admitted.app,
                due,
                record: record.clone(),
                peer: peer.clone(),
                memory,
                gate: Arc::clone(&guard.gate),
                observer: Arc::clone(&guard.observer),
                slot: None,
            };
            request.extensions_mut().insert(context);
        } else {
            request.extensions_mut().insert(record.id().clone());
            let watches = Watches::new(&self.budget, usage);
            request.extensions_mut().insert(watches);
        }
        let answering = self.services.call(policy, request);
        let answering = answering.ok_or_else(|| status::unknown_method(policy.name()))?;
        Ok(Begun { answering, bounds })
    }

    /// What the body of a call may take.
    fn terms(&self, policy: &Policy, memory: Memory) -> Terms {
        Terms {
            memory,
            max_bytes: match policy.audience {
                Audience::Callers => self.shared.limits.max_request_bytes,
                Audience::Tools => MAX_REFLECTION_REQUEST_BYTES,
                Audience::Everyone => MAX_HEALTH_REQUEST_BYTES,
            },
            timeout: self.shared.limits.request_body_timeout,
            pauses: match policy.audience {
                _ if !policy.is_client_streaming => Pauses::Never,
                Audience::Callers => Pauses::Always,
                Audience::Tools | Audience::Everyone => Pauses::AfterFirst,
            },
        }
    }

    /// No call of the contract is admitted without a caller and an app.
    fn admit_caller(
        &self,
        request: &mut Request<RequestBody>,
        policy: Option<&'static Policy>,
        record: &Record,
    ) -> Result<Option<Admitted>, Denial> {
        let Some(guard) = &self.guard else {
            return Ok(None);
        };
        let admitted = guard.access.admit(policy, request.headers(), record);
        // The key is no concern of the services.
        request.headers_mut().remove(AUTHORIZATION);
        admitted
    }
}

/// By when a call must be answered. A stream has no deadline but its client's.
fn due(
    deadlines: Deadlines,
    policy: &Policy,
    form: Form,
    headers: &HeaderMap,
) -> Result<Due, Draft> {
    let timeout = timeout::of(form, headers)?;
    let Deadlines { default, longest } = deadlines;
    Ok(if policy.is_streaming {
        Due::Item {
            timeout: default,
            stream: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    } else {
        Due::Call(Instant::now() + timeout.unwrap_or(default).min(longest))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_the_clients_the_default_or_the_longest() {
        let deadlines = Deadlines {
            default: Duration::from_secs(15),
            longest: Duration::from_mins(1),
        };
        let of = |rpc: &str, timeout: Option<&'static str>| {
            let header = timeout.map(HeaderValue::from_static);
            let headers =
                header.map(|value| (http::HeaderName::from_static("grpc-timeout"), value));
            let policy = Policy::of_path(rpc).unwrap();
            let headers = headers.into_iter().collect();
            let due = due(deadlines, policy, Form::Grpc, &headers).unwrap();
            due.of_call().map(|deadline| deadline - Instant::now())
        };
        let unary = "/mesibo.v1.UserService/ListUsers";
        assert_eq!(of(unary, None), Some(deadlines.default));
        assert_eq!(of(unary, Some("30S")), Some(Duration::from_secs(30)));
        assert_eq!(of(unary, Some("2H")), Some(deadlines.longest));
        let stream = "/grpc.health.v1.Health/Watch";
        assert_eq!(of(stream, None), None);
        assert_eq!(of(stream, Some("2H")), Some(Duration::from_hours(2)));
    }
}
