//! Pages of a collection, and the waiting for one that is not empty.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::query::Query;
use super::{Answer, ApiError};
use crate::clock::Moment;
use crate::hub::Hub;
use crate::worlds::World;

const DEFAULT_SIZE: u64 = 100;
const MAX_SIZE: u64 = 1000;

/// The longest time that a request waits for what matches it.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Which part of a collection is asked for, and in which order.
pub(super) struct Paging {
    size: usize,
    /// The id behind which the page begins.
    after: Option<u64>,
    newest_first: bool,
    wait: Duration,
}

/// A page, and how many entries match in all.
#[derive(Default)]
pub(super) struct Page {
    entries: Vec<Value>,
    total: usize,
    next: Option<u64>,
}

impl Paging {
    pub(super) fn read(query: &mut Query) -> Answer<Self> {
        let size = query.number("page_size")?.unwrap_or(DEFAULT_SIZE);
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(ApiError::bad(format!("page_size must be 1 to {MAX_SIZE}")));
        }
        let wait = query.duration("wait")?.unwrap_or_default();
        if wait > MAX_WAIT {
            return Err(ApiError::bad("wait must be at most 1m"));
        }
        Ok(Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            after: query.number("page_token")?,
            newest_first: query.choice("order", &["asc", "desc"])? == Some("desc"),
            wait,
        })
    }

    /// The page of entries that are to be kept. They come in the order of their ids.
    pub(super) fn of<'a, T: Serialize + 'a>(
        &self,
        entries: impl DoubleEndedIterator<Item = &'a T>,
        id: impl Fn(&T) -> u64,
        keep: impl Fn(&T) -> bool,
    ) -> Page {
        let mut page = Page::default();
        let mut last = None;
        let mut take = |entry: &'a T| {
            if !keep(entry) {
                return;
            }
            page.total += 1;
            let id = id(entry);
            let before_page = self.after.is_some_and(|after| {
                if self.newest_first {
                    id >= after
                } else {
                    id <= after
                }
            });
            if before_page {
                return;
            }
            if page.entries.len() < self.size {
                page.entries.push(json!(entry));
                last = Some(id);
            } else if page.next.is_none() {
                page.next = last;
            }
        };
        if self.newest_first {
            entries.rev().for_each(&mut take);
        } else {
            entries.for_each(&mut take);
        }
        page
    }

    /// Answers with a page of a world's collection, which is called `name`: at once if
    /// it has entries, or else as soon as it has, or when the time to wait is over.
    pub(super) async fn answer(
        &self,
        hub: &Hub,
        world: &str,
        name: &'static str,
        find: impl Fn(&World, &Self) -> Page,
    ) -> Response {
        let deadline = Instant::now() + self.wait;
        let mut watch = hub.watch();
        loop {
            let page = hub.with(|state| {
                let world = state.worlds.get_mut(world);
                world.map(|world| {
                    let now = world.clock.read(Moment::now());
                    world.backend.forget_expired(now);
                    find(world, self)
                })
            });
            let page = page.unwrap_or_default();
            let another_look = async {
                tokio::select! {
                    changed = watch.changed() => changed.is_ok(),
                    () = hub.stopping.cancelled() => false,
                }
            };
            if !page.entries.is_empty()
                || !timeout_at(deadline, another_look).await.unwrap_or(false)
            {
                return page.into_response(name);
            }
        }
    }
}

impl Page {
    fn into_response(self, name: &str) -> Response {
        let mut answer = Map::new();
        answer.insert(name.to_owned(), Value::Array(self.entries));
        answer.insert("total".to_owned(), json!(self.total));
        if let Some(next) = self.next {
            answer.insert("next_page_token".to_owned(), json!(next.to_string()));
        }
        Json(Value::Object(answer)).into_response()
    }
}
