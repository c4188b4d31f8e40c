//! The sandbox's own API, below `/sandbox`; `GET /sandbox/openapi.json` describes it.

mod changes;
mod collections;
mod control;
mod error;
mod filter;
mod page;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use self::error::ApiError;
use crate::hub::Hub;

/// The answer to a request, or its error.
type Answer<T> = Result<T, ApiError>;

pub(crate) fn routes() -> Router<Arc<Hub>> {
    use collections as of;

    Router::new()
        .route("/users", get(of::list_users).delete(of::delete_users))
        .route("/users/{id}", get(of::show_user).delete(of::delete_user))
        .route("/groups", get(of::list_groups).delete(of::delete_groups))
        .route("/groups/{id}", get(of::show_group).delete(of::delete_group))
        .route(
            "/messages",
            get(of::list_messages).delete(of::delete_messages),
        )
        .route(
            "/messages/{id}",
            get(of::show_message).delete(of::delete_message),
        )
        .route(
            "/requests",
            get(of::list_requests).delete(of::delete_requests),
        )
        .route(
            "/requests/{id}",
            get(of::show_request).delete(of::delete_request),
        )
        .route("/worlds", get(control::list_worlds))
        .route(
            "/worlds/{name}",
            axum::routing::delete(control::delete_world),
        )
        .route("/state", get(control::show_state).delete(control::reset))
        .route(
            "/snapshot",
            get(control::show_snapshot).put(control::put_snapshot),
        )
        .route(
            "/clock",
            get(control::show_clock)
                .post(control::set_clock)
                .delete(control::reset_clock),
        )
        .route(
            "/faults",
            get(control::list_faults)
                .put(control::put_faults)
                .post(control::add_fault)
                .delete(control::delete_faults),
        )
        .route(
            "/faults/{id}",
            get(control::show_fault).delete(control::delete_fault),
        )
        .route("/recipes", get(control::recipes))
        .route("/outage", axum::routing::post(control::begin_outage))
        .route("/events", get(changes::stream))
        .route("/openapi.json", get(control::openapi))
        .fallback(async || ApiError::not_found("no such path; see /sandbox/openapi.json"))
        .method_not_allowed_fallback(async || ApiError::method())
}
