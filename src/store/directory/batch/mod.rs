//! The steps that write records: which statements, in which order, with which rows.
//!
//! - `users`, `groups`, `members`: the rows of each entry

mod groups;
mod members;
mod users;

use std::ptr;

use serde::Serialize;

use super::{
    finding::{Due, Finding},
    record::Record,
    rows::{Step, json, number, text},
    sql::{Statements, fate},
    write::{Fate, Recorded, Write},
};

/// After which time an entry whose write may have been carried out is looked up, in
/// milliseconds: the write may still be under way at Mesibo.
const UNKNOWN_DELAY: i64 = 5_000;

/// The steps that write records.
pub(super) struct Batch {
    statements: &'static Statements,
    /// Their rows are open at the end.
    steps: Vec<Step>,
}

/// How a write failed.
#[derive(Clone, Copy)]
struct Failed {
    /// See [`fate`].
    fate: i64,
    /// After which time its entries are looked up, in milliseconds.
    delay: i64,
}

const NOT_DONE: Failed = Failed {
    fate: fate::NOT_DONE,
    delay: 0,
};

const MISSING: Failed = Failed {
    fate: fate::MISSING,
    delay: 0,
};

const UNKNOWN: Failed = Failed {
    fate: fate::UNKNOWN,
    delay: UNKNOWN_DELAY,
};

/// After a deletion that was carried out, what is left has another write's ticket.
const OVERTAKEN: Failed = Failed {
    fate: fate::UNKNOWN,
    delay: 0,
};

impl Batch {
    /// The steps for records that have no subject in common.
    pub(super) fn steps<'a>(
        statements: &'static Statements,
        records: impl Iterator<Item = &'a Record> + Clone,
    ) -> Vec<Step> {
        let mut batch = Self {
            statements,
            steps: Vec::new(),
        };
        // Outcomes go before intents: an intent by uid finds the user whose address and uid
        // an outcome has just brought together.
        for record in records.clone() {
            batch.add_outcome(record);
        }
        for record in records {
            if let Record::Begin { recorded, lease } = record {
                batch.add_intent(recorded, *lease);
            }
        }
        for step in &mut batch.steps {
            step.rows.push(']');
        }
        batch.steps
    }

    fn add(&mut self, sql: &'static str, row: &impl Serialize) {
        self.push(&[], sql, &json_of(row));
    }

    fn add_all(
        &mut self,
        statements: impl IntoIterator<Item = &'static String>,
        row: &impl Serialize,
    ) {
        let row = json_of(row);
        for sql in statements {
            self.push(&[], sql, &row);
        }
    }

    /// Adds a row for a statement that may need others before it.
    fn add_after(&mut self, before: &'static [String], sql: &'static str, row: &impl Serialize) {
        self.push(before, sql, &json_of(row));
    }

    fn push(&mut self, before: &'static [String], sql: &'static str, row: &str) {
        let mut steps = self.steps.iter_mut();
        if let Some(Step { rows, .. }) = steps.find(|step| ptr::eq(step.sql, sql)) {
            rows.push(',');
            rows.push_str(row);
        } else {
            let rows = format!("[{row}");
            self.steps.push(Step { before, sql, rows });
        }
    }

    fn add_intent(&mut self, by: &Recorded, lease: i64) {
        match &*by.write {
            Write::CreateUser { address, .. } => self.begin_user_by_address(by, address, lease),
            Write::EditUser { uid, .. } | Write::DeleteUser { uid } => {
                self.begin_user(by, *uid, lease);
            }
            Write::UserToken { .. } => {}
            Write::CreateGroup { group, .. } => self.begin_new_group(by, group, lease),
            Write::EditGroup { gid, .. } | Write::DeleteGroup { gid } => {
                self.begin_group(by, *gid, lease);
            }
            Write::AddMembers { gid, members, .. } | Write::RemoveMembers { gid, members } => {
                self.begin_members(by, *gid, members, lease);
            }
        }
    }

    fn add_outcome(&mut self, record: &Record) {
        match record {
            Record::Begin { .. } => {}
            Record::End { recorded, fate } => match *fate {
                Fate::Done { id } => self.add_done(recorded, id),
                Fate::NotDone => self.add_failed(recorded, NOT_DONE),
                Fate::Missing => match &*recorded.write {
                    // Nothing is left to be deleted.
                    Write::DeleteGroup { .. } => self.add_done(recorded, None),
                    // It may be any of the members that Mesibo does not have.
                    Write::AddMembers { .. } | Write::RemoveMembers { .. } => {
                        self.add_failed(recorded, NOT_DONE);
                    }
                    _ => self.add_failed(recorded, MISSING),
                },
                Fate::Unknown => self.add_failed(recorded, UNKNOWN),
            },
            Record::SawUsers { app, asked, users } => self.saw_users(app, *asked, users),
            Record::SawMembers {
                app,
                asked,
                gid,
                members,
            } => self.saw_members(app, *asked, *gid, members),
            Record::MissedUser { app, uid } => self.missed_user(app, *uid),
            Record::Resolve { due, finding } => self.resolved(due, *finding),
        }
    }

    fn add_done(&mut self, by: &Recorded, id: Option<u64>) {
        match (&*by.write, id) {
            (
                Write::CreateUser {
                    address,
                    name,
                    active,
                },
                Some(uid),
            ) => self.created_user(by, address, uid, name.as_deref(), *active),
            (Write::EditUser { uid, flags, active }, _) => {
                self.edited_user(by, *uid, *flags, *active);
            }
            (Write::DeleteUser { uid }, _) => {
                self.deleted_user(by, *uid);
                self.add_failed(by, OVERTAKEN);
            }
            (Write::UserToken { uid, may_delete }, _) => {
                if *may_delete {
                    self.missed_user(&by.app, *uid);
                }
            }
            (Write::CreateGroup { group, members }, Some(gid)) => {
                self.created_group(by, gid, group);
                self.first_members(by, gid, members);
            }
            (Write::EditGroup { gid, group }, _) => self.edited_group(by, *gid, group),
            (Write::DeleteGroup { gid }, _) => {
                self.deleted_group(by, *gid);
                self.add_failed(by, OVERTAKEN);
            }
            (
                Write::AddMembers {
                    gid,
                    members,
                    permissions,
                },
                _,
            ) => {
                self.known_group(&by.app, *gid);
                self.added_members(by, *gid, members, *permissions);
            }
            (Write::RemoveMembers { gid, members }, _) => {
                self.removed_members(by, *gid, members);
                self.add_failed(by, OVERTAKEN);
            }
            // A reply that lacks the id is no success.
            (Write::CreateUser { .. } | Write::CreateGroup { .. }, None) => {
                self.add_failed(by, UNKNOWN);
            }
        }
    }

    fn add_failed(&mut self, by: &Recorded, failed: Failed) {
        match &*by.write {
            Write::CreateUser { address, .. } => self.failed_user_by_address(by, address, failed),
            Write::EditUser { uid, .. } | Write::DeleteUser { uid } => {
                self.failed_user(by, *uid, failed);
            }
            Write::UserToken { uid, may_delete } => {
                let fate = failed.fate;
                if fate == fate::MISSING || fate == fate::UNKNOWN && *may_delete {
                    self.missed_user(&by.app, *uid);
                }
            }
            Write::CreateGroup { .. } => self.failed_new_group(by, failed),
            Write::EditGroup { gid, .. } | Write::DeleteGroup { gid } => {
                self.failed_group(by, *gid, failed);
            }
            Write::AddMembers { gid, members, .. } | Write::RemoveMembers { gid, members } => {
                self.failed_members(by, *gid, members, failed);
            }
        }
    }

    fn resolved(&mut self, due: &Due, finding: Finding) {
        let to = &self.statements.lookups;
        let Due {
            id, ticket, state, ..
        } = due;
        match finding {
            Finding::Found { uid, active, flags } => {
                let (uid, active) = (number(uid), active.map(i64::from));
                let row = (id, ticket, state, uid, active, flags);
                self.add_all(&to.found, &row);
            }
            Finding::Absent => {
                let unknown = None::<i64>;
                let row = (id, ticket, state, unknown, unknown, unknown);
                self.add_all(&to.absent, &row);
            }
        }
    }
}

fn json_of(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("it has texts and numbers alone")
}

/// The steps that forget a user, with its places in groups.
pub(in crate::store) fn forget_steps(
    statements: &'static Statements,
    app: &str,
    address: &str,
) -> Vec<Step> {
    let rows = json([(app, text(address))]);
    Step::each(&statements.users.forget, &rows)
}
