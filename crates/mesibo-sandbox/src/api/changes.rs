//! Changes as they happen, by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use serde_json::json;

use super::Answer;
use super::query::Query;
use crate::hub::Hub;

/// How often a silent stream shows that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long changes are gathered after one was told, so that a burst of requests is a
/// few events.
const GATHER: Duration = Duration::from_millis(50);

/// Sends the event `change` at the beginning and whenever something changed, with a
/// number for each collection; what has another number than before changed.
pub(super) async fn stream(
    State(hub): State<Arc<Hub>>,
    mut query: Query,
) -> Answer<impl IntoResponse> {
    let world = query.world()?;
    query.end()?;
    let mut watch = hub.watch();
    watch.mark_changed();
    let begin = (hub, watch, world, None);
    let events = stream::unfold(begin, |(hub, mut watch, world, told)| async move {
        loop {
            tokio::select! {
                changed = watch.changed() => changed.ok()?,
                () = hub.stopping.cancelled() => return None,
            }
            let changes = hub.with(|state| state.changes(&world));
            if told != Some(changes) {
                if told.is_some() {
                    tokio::time::sleep(GATHER).await;
                }
                let changes = hub.with(|state| state.changes(&world));
                let event = Event::default()
                    .event("change")
                    .data(json!(changes).to_string());
                let next = (hub, watch, world, Some(changes));
                return Some((Ok::<_, Infallible>(event), next));
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
