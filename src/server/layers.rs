//! What every call passes on its way to its service: from the outside in, it is counted,
//! every status is made complete, a panic becomes one, only the right callers are let in,
//! and all within the deadline.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{Status, body::Body};

use super::{
    Deadlines, Metrics, Services,
    calls::{self, CallBody},
    deadline,
    drain::RequestBody,
    statuses,
};
use crate::{
    access::{Access, Admitted, Peer},
    record::Record,
    service::Context,
    status,
};

/// The layers, and the services within.
pub(super) struct Layers {
    pub(super) metrics: Metrics,
    /// None if everyone may make every call.
    pub(super) access: Option<Access>,
    pub(super) deadlines: Deadlines,
    pub(super) services: Services,
}

impl Layers {
    /// Answers a call of a peer.
    pub(super) async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<CallBody> {
        calls::layer(&self.metrics, request, async |request, record| {
            if !is_grpc(request.headers()) {
                return not_grpc();
            }
            let answer = AssertUnwindSafe(self.answer(request, &peer, record));
            let answered = answer.catch_unwind().await.unwrap_or_else(|_| {
                self.metrics.panicked();
                Err(statuses::of_panic())
            });
            answered.unwrap_or_else(Status::into_http)
        })
        .await
    }

    /// Lets a call in, and has its service answer it in time.
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        peer: &Peer,
        record: Record,
    ) -> Result<Response<Body>, Status> {
        let admitted = self.admit(&mut request, peer)?;
        let deadline = Instant::now() + self.deadlines.of(request.headers())?;
        if let Some(admitted) = admitted {
            record.admitted(&admitted.caller.name, &admitted.app.name);
            let context = Context {
                admitted,
                deadline,
                record,
            };
            request.extensions_mut().insert(context);
        }
        deadline::by(deadline, self.services.call(request)).await
    }

    /// Who may call what: no call of the contract gets past without a caller and an app.
    fn admit(
        &self,
        request: &mut Request<RequestBody>,
        peer: &Peer,
    ) -> Result<Option<Admitted>, Status> {
        let Some(access) = &self.access else {
            return Ok(None);
        };
        let admitted = access.admit(request.uri().path(), request.headers(), peer);
        // Nobody needs the key any longer.
        request.headers_mut().remove(AUTHORIZATION);
        admitted.map_err(|denial| status::denied(&denial))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What gRPC's doc/PROTOCOL-HTTP2.md wants for what is not gRPC.
fn not_grpc() -> Response<Body> {
    let text = "this port speaks gRPC: the content type must begin with application/grpc\n";
    let mut response = Response::new(Body::new(text.to_owned()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let text_type = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text_type);
    response
}
