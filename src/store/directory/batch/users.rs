//! The rows of users.

use super::{Batch, Failed};
use crate::store::directory::{
    rows::{number, text},
    write::{Asked, Recorded, SeenUser},
};

impl Batch {
    pub(super) fn begin_user(&mut self, by: &Recorded, uid: u64, lease: i64) {
        let row = (&*by.app, number(uid), by.ticket, lease);
        self.add(&self.statements.users.begun, &row);
    }

    pub(super) fn begin_user_by_address(&mut self, by: &Recorded, address: &str, lease: i64) {
        let row = (&*by.app, text(address), by.ticket, lease);
        self.add(&self.statements.users.begun_by_address, &row);
    }

    pub(super) fn created_user(
        &mut self,
        by: &Recorded,
        address: &str,
        uid: u64,
        name: Option<&str>,
        active: Option<bool>,
    ) {
        let (name, active) = (name.map(text), active.map(i64::from));
        let (address, uid) = (text(address), number(uid));
        let row = (&*by.app, address, uid, by.ticket, name, active);
        let to = &self.statements.users;
        self.add_after(&to.before_created, &to.created, &row);
    }

    pub(super) fn edited_user(
        &mut self,
        by: &Recorded,
        uid: u64,
        flags: Option<u32>,
        active: Option<bool>,
    ) {
        let to = &self.statements.users;
        let (uid, active) = (number(uid), active.map(i64::from));
        self.add(&to.disputed, &(&*by.app, uid, by.ticket));
        let row = (&*by.app, uid, by.ticket, flags, active);
        self.add(&to.edited, &row);
    }

    pub(super) fn deleted_user(&mut self, by: &Recorded, uid: u64) {
        let to = &self.statements.users;
        let row = (&*by.app, number(uid), by.ticket);
        self.add(&to.disputed, &row);
        self.add_all(&to.deleted, &row);
    }

    pub(super) fn failed_user(&mut self, by: &Recorded, uid: u64, failed: Failed) {
        let Failed { fate, delay } = failed;
        let row = (&*by.app, number(uid), by.ticket, fate, delay);
        self.add_all(&self.statements.users.ended, &row);
    }

    pub(super) fn failed_user_by_address(&mut self, by: &Recorded, address: &str, failed: Failed) {
        let Failed { fate, delay } = failed;
        let row = (&*by.app, text(address), by.ticket, fate, delay);
        self.add_all(&self.statements.users.ended_by_address, &row);
    }

    pub(super) fn missed_user(&mut self, app: &str, uid: u64) {
        self.add(&self.statements.users.missed, &(app, number(uid)));
    }

    pub(super) fn saw_users(&mut self, app: &str, asked: Asked, users: &[SeenUser]) {
        for user in users {
            let row = (
                app,
                text(&user.address),
                number(user.uid),
                user.active.map(i64::from),
                user.flags,
                asked.age(),
            );
            self.add_all(&self.statements.users.seen, &row);
        }
    }
}
