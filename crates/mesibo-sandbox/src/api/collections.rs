//! Users, groups, messages and requests: lists, single ones, and deleting them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::filter::{GroupFilter, MessageFilter, RequestFilter, UserFilter, id};
use super::page::Paging;
use super::query::Query;
use super::{Answer, ApiError};
use crate::clock::Moment;
use crate::hub::Hub;
use crate::worlds::World;

type Shared = State<Arc<Hub>>;

pub(super) async fn list_users(State(hub): Shared, mut query: Query) -> Answer<Response> {
    let world = query.world()?;
    let (paging, filter) = (Paging::read(&mut query)?, UserFilter::read(&mut query)?);
    query.end()?;
    let find = |world: &World, paging: &Paging| {
        paging.of(
            world.backend.users(),
            |user| user.uid,
            |user| filter.keeps(user),
        )
    };
    Ok(paging.answer(&hub, &world, "users", find).await)
}

pub(super) async fn list_groups(State(hub): Shared, mut query: Query) -> Answer<Response> {
    let world = query.world()?;
    let (paging, filter) = (Paging::read(&mut query)?, GroupFilter::read(&mut query)?);
    query.end()?;
    let find = |world: &World, paging: &Paging| {
        paging.of(
            world.backend.groups(),
            |group| group.gid,
            |group| filter.keeps(group),
        )
    };
    Ok(paging.answer(&hub, &world, "groups", find).await)
}

pub(super) async fn list_messages(State(hub): Shared, mut query: Query) -> Answer<Response> {
    let world = query.world()?;
    let (paging, filter) = (Paging::read(&mut query)?, MessageFilter::read(&mut query)?);
    query.end()?;
    let find = |world: &World, paging: &Paging| {
        let messages = world.backend.messages();
        paging.of(
            messages,
            |message| message.mid,
            |message| filter.keeps(message),
        )
    };
    Ok(paging.answer(&hub, &world, "messages", find).await)
}

pub(super) async fn list_requests(State(hub): Shared, mut query: Query) -> Answer<Response> {
    let world = query.world()?;
    let (paging, filter) = (Paging::read(&mut query)?, RequestFilter::read(&mut query)?);
    query.end()?;
    let find = |world: &World, paging: &Paging| {
        paging.of(
            world.requests.iter(),
            |record| record.id,
            |record| filter.keeps(record),
        )
    };
    Ok(paging.answer(&hub, &world, "requests", find).await)
}

pub(super) async fn show_user(
    State(hub): Shared,
    Path(uid): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    show(&hub, &uid, query, |world, uid| {
        world.backend.user(uid).map(|user| json!(user))
    })
}

pub(super) async fn show_group(
    State(hub): Shared,
    Path(gid): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    show(&hub, &gid, query, |world, gid| {
        world.backend.group(gid).map(|group| json!(group))
    })
}

pub(super) async fn show_message(
    State(hub): Shared,
    Path(mid): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    show(&hub, &mid, query, |world, mid| {
        world
            .backend
            .message_by_id(mid)
            .map(|message| json!(message))
    })
}

pub(super) async fn show_request(
    State(hub): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    show(&hub, &id, query, |world, id| {
        world.requests.get(id).map(|record| json!(record))
    })
}

pub(super) async fn delete_users(State(hub): Shared, query: Query) -> Answer<StatusCode> {
    delete(&hub, query, |world| {
        let uids: Vec<_> = world.backend.users().map(|user| user.uid).collect();
        world.revisions.users += 1;
        world.revisions.groups += 1;
        for uid in uids {
            // It was just listed.
            let _ = world.backend.delete_user(uid);
        }
        true
    })
}

pub(super) async fn delete_groups(State(hub): Shared, query: Query) -> Answer<StatusCode> {
    delete(&hub, query, |world| {
        let gids: Vec<_> = world.backend.groups().map(|group| group.gid).collect();
        world.revisions.groups += 1;
        for gid in gids {
            // It was just listed.
            let _ = world.backend.delete_group(gid);
        }
        true
    })
}

pub(super) async fn delete_messages(State(hub): Shared, query: Query) -> Answer<StatusCode> {
    delete(&hub, query, |world| {
        let mids: Vec<_> = world
            .backend
            .messages()
            .map(|message| message.mid)
            .collect();
        world.revisions.messages += 1;
        for mid in mids {
            world.backend.delete_message(mid);
        }
        true
    })
}

pub(super) async fn delete_requests(State(hub): Shared, query: Query) -> Answer<StatusCode> {
    delete(&hub, query, |world| {
        world.revisions.requests += 1;
        world.requests.clear();
        true
    })
}

pub(super) async fn delete_user(
    State(hub): Shared,
    Path(uid): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    let uid = id(&uid)?;
    delete(&hub, query, |world| {
        world.revisions.users += 1;
        world.revisions.groups += 1;
        world.backend.delete_user(uid).is_ok()
    })
}

pub(super) async fn delete_group(
    State(hub): Shared,
    Path(gid): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    let gid = id(&gid)?;
    delete(&hub, query, |world| {
        world.revisions.groups += 1;
        world.backend.delete_group(gid).is_ok()
    })
}

pub(super) async fn delete_message(
    State(hub): Shared,
    Path(mid): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    let mid = id(&mid)?;
    delete(&hub, query, |world| {
        world.revisions.messages += 1;
        world.backend.delete_message(mid)
    })
}

pub(super) async fn delete_request(
    State(hub): Shared,
    Path(request): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    let request = id(&request)?;
    delete(&hub, query, |world| {
        world.revisions.requests += 1;
        world.requests.remove(request)
    })
}

/// Answers with one entry of a world.
fn show(
    hub: &Hub,
    id_text: &str,
    mut query: Query,
    find: impl FnOnce(&World, u64) -> Option<Value>,
) -> Answer<Json<Value>> {
    let (world, id) = (query.world()?, id(id_text)?);
    query.end()?;
    let found = hub.with(|state| {
        let world = state.worlds.get_mut(&world)?;
        world
            .backend
            .forget_expired(world.clock.read(Moment::now()));
        find(world, id)
    });
    found.map(Json).ok_or_else(|| missing(&world))
}

/// Deletes something of a world, and says whether it was there.
fn delete(
    hub: &Hub,
    mut query: Query,
    delete: impl FnOnce(&mut World) -> bool,
) -> Answer<StatusCode> {
    let world = query.world()?;
    query.end()?;
    let deleted = hub.change(|state| state.worlds.get_mut(&world).is_some_and(delete));
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing(&world))
    }
}

fn missing(world: &str) -> ApiError {
    ApiError::not_found(format!("there is none with this id in the world {world:?}"))
}
