//! The HTTP side: paths, guards, the backend API and the page.

mod call;
mod guard;
mod page;
mod respond;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use http::StatusCode;

pub(crate) use self::guard::Guard;
pub(crate) use self::respond::Hangup;
use crate::api;
use crate::hub::Hub;

/// All that the sandbox serves.
pub(crate) fn router(hub: Arc<Hub>, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/api.php", any(call::answer))
        .route("/backend", any(call::answer))
        .route("/backend/", any(call::answer))
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .nest("/sandbox", api::routes())
        .fallback(async || {
            let text = "no such path: the backend API is at /api.php, the page at /\n";
            (StatusCode::NOT_FOUND, text)
        })
        .layer(guard.cors())
        .layer(from_fn_with_state(guard, guard::check))
        .with_state(hub)
}
