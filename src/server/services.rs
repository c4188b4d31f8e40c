//! The services by their names, and the way from a call to its own.

use std::{collections::HashMap, convert::Infallible, fmt, sync::Arc};

use http::{Request, Response};
use tonic::{Status, body::Body, codegen::BoxFuture, server::NamedService};
use tower::Service;

use super::drain::RequestBody;

/// Services by their names. Clones have the same.
#[derive(Clone, Default)]
pub struct Services(HashMap<&'static str, Arc<Answer>>);

/// How a service answers a call.
type Answer = dyn Fn(Request<RequestBody>) -> Answering + Send + Sync;

type Answering = BoxFuture<Response<Body>, Infallible>;

impl Services {
    /// These services and another, as tonic generates them.
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

    /// Has a call answered by the service that its path names. None of that name is
    /// UNIMPLEMENTED.
    pub(super) async fn call(&self, request: Request<RequestBody>) -> Response<Body> {
        let path = request.uri().path().strip_prefix('/');
        let name = path
            .and_then(|path| path.split_once('/'))
            .map(|(name, _)| name);
        let Some(answer) = name.and_then(|name| self.0.get(name)) else {
            return Status::unimplemented("").into_http();
        };
        let Ok(response) = answer(request).await;
        response
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
