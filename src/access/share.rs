//! A caller's share of the operations that an app may have in flight, so that one caller
//! cannot keep the others from Mesibo.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use crate::call::{App, Slot, context::Pause};

/// The places of one caller for one app.
#[derive(Debug)]
pub(super) struct Share {
    limit: usize,
    places: Arc<Semaphore>,
}

impl Share {
    /// A share of so many operations, or of half of what the app may have in flight.
    /// `None` if the app has no room for more than the share anyway.
    pub(super) fn new(limit: Option<NonZeroUsize>, app: &App) -> Option<Self> {
        let of_app = app.client.state().max_in_flight;
        let limit = limit.map_or((of_app / 2).max(1), NonZeroUsize::get);
        (limit < of_app).then(|| Self {
            limit,
            places: Arc::new(Semaphore::new(limit)),
        })
    }

    /// How many places there are.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a place, if one is free.
    pub(super) fn take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        permit.ok().map(Slot::from)
    }

    /// Takes a place when one is free, in the order of those who wait.
    pub(super) fn free(&self) -> Pause {
        let permit = Arc::clone(&self.places).acquire_owned();
        Box::pin(permit.map(|permit| permit.ok().map(Slot::from)))
    }

    /// Goes on with the places of another share that is as large.
    pub(super) fn go_on_from(&mut self, other: &Self) {
        if self.limit == other.limit {
            self.places = Arc::clone(&other.places);
        }
    }
}
