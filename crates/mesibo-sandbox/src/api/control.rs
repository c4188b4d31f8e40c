//! Worlds, state, time and faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::query::Query;
use super::{Answer, ApiError};
use crate::body::{BODY_LIMIT, SNAPSHOT_LIMIT, read as read_body};
use crate::clock::{Clock, Moment};
use crate::fault::Rule;
use crate::hub::{Hub, Snapshot};
use crate::text_duration;

type Shared = State<Arc<Hub>>;

/// The longest time without a listener.
const MAX_OUTAGE: Duration = Duration::from_mins(10);

pub(super) async fn list_worlds(State(hub): Shared, query: Query) -> Answer<Json<Value>> {
    query.end()?;
    Ok(Json(hub.with(|state| {
        let worlds = state.worlds.iter().map(|(name, world)| {
            json!({
                "name": name,
                "token": state.worlds.token(name),
                "local_token": state.worlds.local_token(name),
                "users": world.backend.users().count(),
                "groups": world.backend.groups().count(),
                "messages": world.backend.messages().count(),
                "last_request": world.last_request,
            })
        });
        json!({ "worlds": worlds.collect::<Vec<_>>() })
    })))
}

pub(super) async fn delete_world(
    State(hub): Shared,
    Path(name): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    query.end()?;
    if hub.delete_world(&name) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format!("there is no world {name:?}")))
    }
}

pub(super) async fn show_state(State(hub): Shared, mut query: Query) -> Answer<impl IntoResponse> {
    let world = query.world()?;
    query.end()?;
    let state = hub.with(|state| {
        let world = state.worlds.get_mut(&world);
        world.map(|world| world.state(Moment::now()))
    });
    let nothing = || json!({ "users": [], "groups": [], "messages": [] });
    let state = state.unwrap_or_else(nothing);
    // Indented, because people read it.
    Ok(([(CONTENT_TYPE, "application/json")], format!("{state:#}\n")))
}

pub(super) async fn reset(State(hub): Shared, mut query: Query) -> Answer<StatusCode> {
    // A star cannot be the name of a world.
    let all = query.text("world").as_deref() == Some("*");
    let names = if all {
        hub.with(|state| state.worlds.names())
    } else {
        vec![query.world()?]
    };
    query.end()?;
    for name in names {
        hub.reset(&name);
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn show_snapshot(State(hub): Shared, mut query: Query) -> Answer<Json<Value>> {
    let only = query.optional_world()?;
    query.end()?;
    let system = Moment::now();
    Ok(Json(
        hub.with(|state| state.snapshot(only.as_deref(), system)),
    ))
}

pub(super) async fn put_snapshot(
    State(hub): Shared,
    mut query: Query,
    request: Request,
) -> Answer<StatusCode> {
    let only = query.optional_world()?;
    query.end()?;
    let snapshot: Snapshot = body(&hub, request, SNAPSHOT_LIMIT).await?;
    match only {
        Some(world) => hub.restore_one(&world, snapshot),
        None => hub.restore_all(snapshot),
    }
    .map_err(ApiError::bad)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is to happen to a clock; at least one of the three, in this order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    state: Option<ClockState>,
    set: Option<Moment>,
    #[serde(default, with = "text_duration::optional")]
    advance: Option<Duration>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClockState {
    Running,
    Frozen,
}

pub(super) async fn show_clock(State(hub): Shared, mut query: Query) -> Answer<Json<Value>> {
    let world = query.world()?;
    query.end()?;
    let clock = hub.with(|state| state.worlds.get(&world).map(|world| world.clock));
    Ok(shown(clock.unwrap_or_default(), Moment::now()))
}

pub(super) async fn set_clock(
    State(hub): Shared,
    mut query: Query,
    request: Request,
) -> Answer<Json<Value>> {
    let world = query.world()?;
    query.end()?;
    let change: ClockChange = body(&hub, request, BODY_LIMIT).await?;
    if change.state.is_none() && change.set.is_none() && change.advance.is_none() {
        let text = "a change of the clock needs state, set or advance";
        return Err(ApiError::bad(text));
    }
    let system = Moment::now();
    change_clock(&hub, &world, |clock| {
        match change.state {
            Some(ClockState::Running) => clock.run(system),
            Some(ClockState::Frozen) => clock.freeze(system),
            None => {}
        }
        if let Some(time) = change.set {
            clock.set(time, system);
        }
        if let Some(by) = change.advance {
            clock.advance(by);
        }
    })
}

pub(super) async fn reset_clock(State(hub): Shared, mut query: Query) -> Answer<Json<Value>> {
    let world = query.world()?;
    query.end()?;
    change_clock(&hub, &world, |clock| *clock = Clock::default())
}

fn change_clock(hub: &Hub, world: &str, change: impl FnOnce(&mut Clock)) -> Answer<Json<Value>> {
    let clock = hub.change(|state| {
        let world = state.worlds.open(world)?;
        change(&mut world.clock);
        // What has expired by the new time is gone.
        world.revisions.all();
        Some(world.clock)
    });
    let clock = clock.ok_or_else(|| ApiError::bad("there are too many worlds already"))?;
    Ok(shown(clock, Moment::now()))
}

fn shown(clock: Clock, system: Moment) -> Json<Value> {
    let state = match clock {
        Clock::Running { .. } => "running",
        Clock::Frozen { .. } => "frozen",
    };
    Json(json!({ "now": clock.read(system), "state": state, "system": system }))
}

pub(super) async fn list_faults(State(hub): Shared, mut query: Query) -> Answer<Json<Value>> {
    let world = query.optional_world()?;
    query.end()?;
    Ok(Json(json!(
        hub.with(|state| state.faults.list(world.as_deref()))
    )))
}

pub(super) async fn put_faults(
    State(hub): Shared,
    mut query: Query,
    request: Request,
) -> Answer<Json<Value>> {
    let world = query.optional_world()?;
    query.end()?;
    let rules: Vec<Rule> = body(&hub, request, BODY_LIMIT).await?;
    let world = world.as_deref();
    let rules = hub.change(|state| {
        state.faults.replace(world, rules)?;
        Ok::<_, String>(state.faults.list(world))
    });
    Ok(Json(json!(rules.map_err(ApiError::bad)?)))
}

pub(super) async fn add_fault(
    State(hub): Shared,
    mut query: Query,
    request: Request,
) -> Answer<impl IntoResponse> {
    let world = query.optional_world()?;
    query.end()?;
    let rule: Rule = body(&hub, request, BODY_LIMIT).await?;
    let rule = hub.change(|state| {
        let id = state.faults.add(world.as_deref(), rule)?;
        Ok::<_, String>(state.faults.show(&id))
    });
    let rule = rule.map_err(ApiError::bad)?;
    Ok((StatusCode::CREATED, Json(json!(rule))))
}

pub(super) async fn show_fault(
    State(hub): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    query.end()?;
    let rule = hub.with(|state| state.faults.show(&id));
    rule.map(Json).ok_or_else(|| no_rule(&id))
}

pub(super) async fn delete_faults(State(hub): Shared, mut query: Query) -> Answer<StatusCode> {
    let world = query.optional_world()?;
    query.end()?;
    hub.change(|state| state.faults.clear(world.as_deref()));
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete_fault(
    State(hub): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    query.end()?;
    if hub.change(|state| state.faults.remove(&id)) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_rule(&id))
    }
}

fn no_rule(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no fault rule {id:?}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    #[serde(rename = "for", with = "text_duration")]
    length: Duration,
}

/// Begins a time in which nothing listens, once this is answered.
pub(super) async fn begin_outage(
    State(hub): Shared,
    query: Query,
    request: Request,
) -> Answer<StatusCode> {
    query.end()?;
    let outage: Outage = body(&hub, request, BODY_LIMIT).await?;
    if outage.length > MAX_OUTAGE {
        return Err(ApiError::bad("for must be at most 10m"));
    }
    hub.outage.send_replace(Instant::now() + outage.length);
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn recipes() -> impl IntoResponse {
    let recipes = include_str!("../../assets/recipes.json");
    ([(CONTENT_TYPE, "application/json")], recipes)
}

pub(super) async fn openapi() -> impl IntoResponse {
    let document = include_str!("../../assets/openapi.json");
    ([(CONTENT_TYPE, "application/json")], document)
}

/// The JSON in a request's body, whatever its media type says: curl says that it is a
/// form.
async fn body<T: DeserializeOwned>(hub: &Hub, request: Request, limit: usize) -> Answer<T> {
    let body = read_body(request.into_body(), limit, hub).await?;
    serde_json::from_slice(&body.bytes)
        .map_err(|error| ApiError::bad(format!("the body does not fit: {error}")))
}
