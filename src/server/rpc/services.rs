//! The services by their names.

use std::{convert::Infallible, fmt, sync::Arc};

use hashbrown::HashMap;
use http::{Request, Response};
use tonic::{body::Body, codegen::BoxFuture, server::NamedService};
use tower::Service;

use super::request_body::RequestBody;
use crate::call::Policy;

/// Services by their full names.
#[derive(Clone, Default)]
pub struct Services(HashMap<&'static str, Arc<Answer>>);

/// How a service answers a call.
type Answer = dyn Fn(Request<RequestBody>) -> Answering + Send + Sync;

/// The answer of a service, under way.
pub(super) type Answering = BoxFuture<Response<Body>, Infallible>;

impl Services {
    /// Adds a service, as tonic generates them.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error = Infallible,
                Future = Answering,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        // tonic's services are always ready, and a clone is a handle.
        let answer = move |request| service.clone().call(request);
        self.0.insert(S::NAME, Arc::new(answer));
        self
    }

    /// Has the service of an RPC answer a call. `None` if that service is not served.
    pub(super) fn call(&self, policy: &Policy, request: Request<RequestBody>) -> Option<Answering> {
        let answer = self.0.get(policy.service())?;
        Some(answer(request))
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
