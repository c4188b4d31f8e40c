//! The rows of members.

use super::{Batch, Failed};
use crate::store::directory::{
    entry::Permissions,
    rows::{number, text},
    write::{Asked, Recorded, SeenMember},
};

impl Batch {
    pub(super) fn begin_members(
        &mut self,
        by: &Recorded,
        gid: u64,
        members: &[String],
        lease: i64,
    ) {
        for member in members {
            let row = (&*by.app, number(gid), text(member), by.ticket, lease);
            self.add(&self.statements.members.begun, &row);
        }
    }

    /// Those that a group was made with. What they may do is not known.
    pub(super) fn first_members(&mut self, by: &Recorded, gid: u64, members: &[String]) {
        let [_, insert] = &self.statements.members.seen;
        for member in members {
            let row = (&*by.app, number(gid), text(member), 0, 0, 0);
            self.add(insert, &row);
        }
    }

    pub(super) fn added_members(
        &mut self,
        by: &Recorded,
        gid: u64,
        members: &[String],
        permissions: Permissions,
    ) {
        let (known, granted) = permissions.bits();
        for member in members {
            let (gid, member) = (number(gid), text(member));
            let row = (&*by.app, gid, member, by.ticket, known, granted);
            self.add(&self.statements.members.added, &row);
        }
    }

    pub(super) fn removed_members(&mut self, by: &Recorded, gid: u64, members: &[String]) {
        for member in members {
            let row = (&*by.app, number(gid), text(member), by.ticket);
            self.add(&self.statements.members.removed, &row);
        }
    }

    pub(super) fn failed_members(
        &mut self,
        by: &Recorded,
        gid: u64,
        members: &[String],
        failed: Failed,
    ) {
        let Failed { fate, delay } = failed;
        for member in members {
            let (gid, member) = (number(gid), text(member));
            let row = (&*by.app, gid, member, by.ticket, fate, delay);
            self.add_all(&self.statements.members.ended, &row);
        }
    }

    pub(super) fn saw_members(
        &mut self,
        app: &str,
        asked: Asked,
        gid: u64,
        members: &[SeenMember],
    ) {
        self.known_group(app, gid);
        for member in members {
            let (known, granted) = member.permissions.bits();
            let (gid, address) = (number(gid), text(&member.address));
            let row = (app, gid, address, known, granted, asked.age());
            self.add_all(&self.statements.members.seen, &row);
        }
    }
}
