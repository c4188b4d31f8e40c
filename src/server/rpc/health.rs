//! The health service, `grpc.health.v1`.
//!
//! It says whether this process serves, not whether Mesibo does: health that
//! followed a shared upstream would take every replica away at once. So one state
//! holds for the empty name, for each service of the contract, and for itself. tonic-health's
//! own service does not fit: it says `SERVING` before anything serves, ends the watch of an
//! unknown name, which the protocol wants left open, and has no `List`.

use std::{iter, pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Code, Request, Response, Status, server::NamedService};

use super::usage::{Budget, Usage, WatchLimit, Watching};
use crate::{
    call::{Policy, RequestId},
    proto::health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    status::{self, Reason},
};

/// The health service. Clones share one state.
#[derive(Clone)]
pub(in crate::server) struct HealthService(watch::Receiver<ServingStatus>);

/// Sets the state of the health service. Watches end when it is dropped.
pub(in crate::server) struct Reporter(watch::Sender<ServingStatus>);

/// Counts the watches of a connection, in the extensions of its requests.
#[derive(Clone)]
pub(super) struct Watches {
    budget: Arc<Budget>,
    usage: Arc<Usage>,
}

/// A health service that says `NOT_SERVING`, and its reporter.
pub(in crate::server) fn service() -> (HealthService, Reporter) {
    let (sender, receiver) = watch::channel(ServingStatus::NotServing);
    (HealthService(receiver), Reporter(sender))
}

impl Watches {
    pub(super) fn new(budget: &Arc<Budget>, usage: &Arc<Usage>) -> Self {
        Self {
            budget: Arc::clone(budget),
            usage: Arc::clone(usage),
        }
    }

    /// Counts a watch, until the result is dropped.
    fn begin(&self) -> Result<Watching, WatchLimit> {
        self.budget.watch(&self.usage)
    }
}

impl Reporter {
    pub(in crate::server) fn serving(&self) {
        self.0.send_replace(ServingStatus::Serving);
    }

    pub(in crate::server) fn stopping(&self) {
        self.0.send_replace(ServingStatus::NotServing);
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            let draft = status::refuse(
                Code::NotFound,
                Reason::UnknownService,
                "there is no such service; server reflection lists those there are",
            );
            return Err(draft.into_status(extension::<RequestId, _>(&request)));
        }
        let status = *self.0.borrow();
        Ok(Response::new(response(status)))
    }

    async fn list(
        &self,
        _request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let status = *self.0.borrow();
        let statuses = names().map(|name| (name.to_owned(), response(status)));
        let statuses = statuses.collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watching = extension::<Watches, _>(&request).begin();
        let watching = watching.map_err(|limit| {
            let draft = status::too_many_watches(match limit {
                WatchLimit::Connection => "connection",
                WatchLimit::Server => "server",
            });
            draft.into_status(extension::<RequestId, _>(&request))
        })?;
        let known = is_known(&request.get_ref().service);
        let statuses = WatchStream::new(self.0.clone()).map(move |status| {
            let _counted = &watching;
            let status = if known {
                status
            } else {
                ServingStatus::ServiceUnknown
            };
            Ok(response(status))
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}

fn extension<T: Clone + Send + Sync + 'static, R>(request: &Request<R>) -> &T {
    let extension = request.extensions().get();
    extension.expect("the server puts it into every request outside of the contract")
}

/// What has a status, some of it more than once: the server, this service, and those of the
/// contract.
fn names() -> impl Iterator<Item = &'static str> {
    let itself = <HealthServer<HealthService> as NamedService>::NAME;
    let contract = Policy::of_contract().map(Policy::service);
    iter::once("").chain(iter::once(itself)).chain(contract)
}

fn is_known(service: &str) -> bool {
    names().any(|name| name == service)
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
