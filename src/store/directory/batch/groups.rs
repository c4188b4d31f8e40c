//! The rows of groups.

use std::borrow::Cow;

use super::{Batch, Failed};
use crate::store::directory::{
    rows::{number, text},
    sql::{CONFIRMED, UNCERTAIN},
    write::{GroupChange, Recorded},
};

/// The columns of what a write sets.
type Changed<'a> = (Option<Cow<'a, str>>, Option<i64>, Option<u32>);

fn columns(group: &GroupChange) -> Changed<'_> {
    let GroupChange {
        name,
        flags,
        active,
    } = group;
    (name.as_deref().map(text), active.map(i64::from), *flags)
}

impl Batch {
    pub(super) fn begin_new_group(&mut self, by: &Recorded, group: &GroupChange, lease: i64) {
        let (name, active, flags) = columns(group);
        let row = (&*by.app, by.ticket, lease, name, active, flags);
        self.add(&self.statements.groups.begun, &row);
    }

    pub(super) fn begin_group(&mut self, by: &Recorded, gid: u64, lease: i64) {
        let row = (&*by.app, number(gid), by.ticket, lease);
        self.add(&self.statements.groups.begun_by_gid, &row);
    }

    pub(super) fn created_group(&mut self, by: &Recorded, gid: u64, group: &GroupChange) {
        let [remove, insert] = &self.statements.groups.created;
        let (name, active, flags) = columns(group);
        self.add(remove, &(&*by.app, by.ticket));
        let state = if by.is_late { UNCERTAIN } else { CONFIRMED };
        let (gid, ticket) = (number(gid), by.ticket);
        let row = (&*by.app, gid, ticket, name, active, flags, state);
        self.add(insert, &row);
    }

    pub(super) fn edited_group(&mut self, by: &Recorded, gid: u64, group: &GroupChange) {
        let (name, active, flags) = columns(group);
        let row = (&*by.app, number(gid), by.ticket, name, active, flags);
        self.add(&self.statements.groups.edited, &row);
    }

    pub(super) fn deleted_group(&mut self, by: &Recorded, gid: u64) {
        let row = (&*by.app, number(gid), by.ticket);
        self.add_all(&self.statements.groups.deleted, &row);
    }

    pub(super) fn failed_new_group(&mut self, by: &Recorded, failed: Failed) {
        let Failed { fate, delay } = failed;
        let row = (&*by.app, by.ticket, fate, delay);
        self.add_all(&self.statements.groups.ended, &row);
    }

    pub(super) fn failed_group(&mut self, by: &Recorded, gid: u64, failed: Failed) {
        let Failed { fate, delay } = failed;
        let row = (&*by.app, number(gid), by.ticket, fate, delay);
        self.add_all(&self.statements.groups.ended_by_gid, &row);
    }

    /// A group that members make known.
    pub(super) fn known_group(&mut self, app: &str, gid: u64) {
        self.add(&self.statements.groups.known, &(app, number(gid)));
    }
}
