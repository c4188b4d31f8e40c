//! Who may call what: no call of the contract gets past without a caller and an app.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::header::AUTHORIZATION;

use crate::{
    access::{Access, Peer},
    record::Record,
    status,
};

/// The layer.
pub(super) async fn layer(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
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
            next.run(request).await
        }
        Err(denial) => status::denied(&denial).into_http(),
    }
}
