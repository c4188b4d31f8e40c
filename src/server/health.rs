//! The health service, `grpc.health.v1`.
//!
//! It says whether this process serves, not whether Mesibo does: health that
//! followed a shared upstream would take every replica away at once. So one state
//! holds for the empty name and for each service of the contract. tonic-health's
//! own service does not fit: it says `SERVING` before anything serves, and ends the
//! watch of an unknown name, which the protocol wants left open.

use std::pin::Pin;

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Code, Request, Response, Status, server::NamedService as _};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use crate::{
    proto::{
        group_service_server::GroupServiceServer, message_service_server::MessageServiceServer,
        user_service_server::UserServiceServer,
    },
    status::{self, Reason},
};

/// The names that the health service answers for.
const NAMES: [&str; 4] = [
    "",
    UserServiceServer::<()>::NAME,
    GroupServiceServer::<()>::NAME,
    MessageServiceServer::<()>::NAME,
];

/// The service. Clones say the same.
#[derive(Clone)]
pub(super) struct HealthService(watch::Receiver<ServingStatus>);

/// Tells the service what to say. Watches end when it is dropped.
pub(super) struct Reporter(watch::Sender<ServingStatus>);

/// The service, which says `NOT_SERVING`, and its reporter.
pub(super) fn service() -> (HealthService, Reporter) {
    let (sender, receiver) = watch::channel(ServingStatus::NotServing);
    (HealthService(receiver), Reporter(sender))
}

impl Reporter {
    pub(super) fn serving(&self) {
        self.0.send_replace(ServingStatus::Serving);
    }

    pub(super) fn stopping(&self) {
        self.0.send_replace(ServingStatus::NotServing);
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(request.get_ref()) {
            return Err(status::refuse(
                Code::NotFound,
                Reason::UnknownService,
                "there is no such service; server reflection lists those there are",
            ));
        }
        let status = *self.0.borrow();
        Ok(Response::new(response(status)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = is_known(request.get_ref());
        let statuses = WatchStream::new(self.0.clone()).map(move |status| {
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

fn is_known(request: &HealthCheckRequest) -> bool {
    NAMES.contains(&request.service.as_str())
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
