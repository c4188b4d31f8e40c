//! Who may call what: no call of the contract gets past without a caller and an app.

use axum::{extract::Request, response::Response};
use http::header::AUTHORIZATION;

use crate::{
    access::{Access, Peer},
    record::Record,
    status,
};

/// The layer.
pub(super) async fn layer<F: Future<Output = Response>>(
    access: &Access,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let peer = request
        .extensions_mut()
        .remove::<Peer>()
        .unwrap_or_default();
    let admitted = access.admit(request.uri().path(), request.headers(), &peer);
    // Nobody needs the key any longer.
    request.headers_mut().remove(AUTHORIZATION);
    match admitted {
        Ok(admitted) => {
            if let Some(admitted) = admitted {
                if let Some(record) = request.extensions().get::<Record>() {
                    record.admitted(&admitted.caller.name, &admitted.app.name);
                }
                request.extensions_mut().insert(admitted);
            }
            next(request).await
        }
        Err(denial) => status::denied(&denial).into_http(),
    }
}
