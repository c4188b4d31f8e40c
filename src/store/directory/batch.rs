//! What is written together.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    finding::{Due, Finding},
    query::MAX_BYTES,
    rows::Step,
    sql::{Statements, fate},
    write::{Asked, Fate, GroupChange, Recorded, SeenMember, SeenUser, Write},
};

/// After which time an entry whose write may have been carried out is looked up, in
/// milliseconds: the write may still be under way at Mesibo.
const UNKNOWN_DELAY: i64 = 5_000;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Record {
    Begin {
        recorded: Recorded,
        lease: i64,
    },
    End {
        recorded: Recorded,
        fate: Fate,
    },
    SawUsers {
        app: Arc<str>,
        asked: Asked,
        users: Vec<SeenUser>,
    },
    SawMembers {
        app: Arc<str>,
        asked: Asked,
        gid: u64,
        members: Vec<SeenMember>,
    },
    MissedUser {
        app: Arc<str>,
        uid: u64,
    },
    Resolve {
        due: Due,
        finding: Finding,
    },
}

/// What an entry is known by, with its app. Records of the same entry are never written
/// together: the second needs what the first has written.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Uid(Arc<str>, u64),
    Address(Arc<str>, String),
    Gid(Arc<str>, u64),
    Ticket(i64),
    Row(i64),
}

/// The steps that write records.
pub(super) struct Batch {
    statements: &'static Statements,
    steps: Vec<(&'static str, Vec<Value>)>,
}

impl Record {
    /// How many rows it is, about.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Begin { recorded, .. } | Self::End { recorded, .. } => match &*recorded.write {
                Write::CreateGroup { members, .. }
                | Write::AddMembers { members, .. }
                | Write::RemoveMembers { members, .. } => 1 + members.len(),
                _ => 1,
            },
            Self::SawUsers { users, .. } => users.len(),
            Self::SawMembers { members, .. } => members.len(),
            _ => 1,
        }
    }

    pub(super) fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Begin { recorded, .. } => subjects(recorded, None),
            Self::End { recorded, fate } => match fate {
                Fate::Done { id } => subjects(recorded, *id),
                _ => subjects(recorded, None),
            },
            Self::SawUsers { app, users, .. } => {
                let subjects = users.iter().flat_map(|user| {
                    [
                        Subject::Uid(Arc::clone(app), user.uid),
                        Subject::Address(Arc::clone(app), user.address.clone()),
                    ]
                });
                subjects.collect()
            }
            Self::SawMembers { app, gid, .. } => vec![Subject::Gid(Arc::clone(app), *gid)],
            Self::MissedUser { app, uid } => vec![Subject::Uid(Arc::clone(app), *uid)],
            Self::Resolve { due, .. } => vec![Subject::Row(due.id)],
        }
    }
}

fn subjects(recorded: &Recorded, id: Option<u64>) -> Vec<Subject> {
    let app = || Arc::clone(&recorded.app);
    match &*recorded.write {
        Write::CreateUser { address, .. } => {
            let mut subjects = vec![Subject::Address(app(), address.clone())];
            subjects.extend(id.map(|uid| Subject::Uid(app(), uid)));
            subjects
        }
        Write::EditUser { uid, .. } | Write::DeleteUser { uid } | Write::UserToken { uid, .. } => {
            vec![Subject::Uid(app(), *uid)]
        }
        Write::CreateGroup { .. } => {
            let mut subjects = vec![Subject::Ticket(recorded.ticket)];
            subjects.extend(id.map(|gid| Subject::Gid(app(), gid)));
            subjects
        }
        Write::EditGroup { gid, .. }
        | Write::DeleteGroup { gid }
        | Write::AddMembers { gid, .. }
        | Write::RemoveMembers { gid, .. } => vec![Subject::Gid(app(), *gid)],
    }
}

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
        let steps = batch.steps.into_iter();
        steps
            .map(|(sql, rows)| Step {
                sql,
                rows: Value::Array(rows).to_string(),
            })
            .collect()
    }

    fn add(&mut self, sql: &'static str, row: Value) {
        match self
            .steps
            .iter_mut()
            .find(|(other, _)| std::ptr::eq(*other, sql))
        {
            Some((_, rows)) => rows.push(row),
            None => self.steps.push((sql, vec![row])),
        }
    }

    fn add_all(&mut self, sql: &'static [String], row: &Value) {
        for sql in sql {
            self.add(sql, row.clone());
        }
    }

    fn add_intent(&mut self, recorded: &Recorded, lease: i64) {
        let to = self.statements;
        let (app, ticket) = (&*recorded.app, recorded.ticket);
        match &*recorded.write {
            Write::CreateUser { address, .. } => self.add(
                &to.user_begun_by_address,
                json!([app, text(address), ticket, lease]),
            ),
            Write::EditUser { uid, .. } | Write::DeleteUser { uid } => {
                self.add(&to.user_begun, json!([app, number(*uid), ticket, lease]));
            }
            Write::UserToken { .. } => {}
            Write::CreateGroup { group, .. } => {
                let GroupChange {
                    name,
                    flags,
                    active,
                } = group;
                let name = name.as_deref().map(text);
                let row = json!([app, ticket, lease, name, active.map(i64::from), flags]);
                self.add(&to.group_begun, row);
            }
            Write::EditGroup { gid, .. } | Write::DeleteGroup { gid } => {
                self.add(
                    &to.group_begun_by_gid,
                    json!([app, number(*gid), ticket, lease]),
                );
            }
            Write::AddMembers { gid, members, .. } | Write::RemoveMembers { gid, members } => {
                for member in members {
                    let row = json!([app, number(*gid), text(member), ticket, lease]);
                    self.add(&to.members_begun, row);
                }
            }
        }
    }

    fn add_outcome(&mut self, record: &Record) {
        let to = self.statements;
        match record {
            Record::Begin { .. } => {}
            Record::End { recorded, fate } => match *fate {
                Fate::Done { id } => self.add_done(recorded, id),
                Fate::NotDone => self.add_failed(recorded, fate::NOT_DONE, 0),
                Fate::Missing => match &*recorded.write {
                    // Nothing is left to be deleted.
                    Write::DeleteGroup { .. } => self.add_done(recorded, None),
                    // It may be any of the members that Mesibo does not have.
                    Write::AddMembers { .. } | Write::RemoveMembers { .. } => {
                        self.add_failed(recorded, fate::NOT_DONE, 0);
                    }
                    _ => self.add_failed(recorded, fate::MISSING, 0),
                },
                Fate::Unknown => self.add_failed(recorded, fate::UNKNOWN, UNKNOWN_DELAY),
            },
            Record::SawUsers { app, asked, users } => {
                for user in users {
                    let row = json!([
                        &**app,
                        text(&user.address),
                        number(user.uid),
                        user.active.map(i64::from),
                        user.flags,
                        asked.age(),
                    ]);
                    for sql in &to.users_seen {
                        self.add(sql, row.clone());
                    }
                }
            }
            Record::SawMembers {
                app,
                asked,
                gid,
                members,
            } => {
                self.add(&to.group_known, json!([&**app, number(*gid)]));
                for member in members {
                    let (known, granted) = member.permissions.bits();
                    let (gid, address) = (number(*gid), text(&member.address));
                    let row = json!([&**app, gid, address, known, granted, asked.age()]);
                    self.add_all(&to.members_seen, &row);
                }
            }
            Record::MissedUser { app, uid } => {
                self.add(&to.user_missed, json!([&**app, number(*uid)]));
            }
            Record::Resolve { due, finding } => {
                let Due {
                    id, ticket, state, ..
                } = due;
                match *finding {
                    Finding::Found { uid, active, flags } => {
                        let uid = number(uid);
                        let active = active.map(i64::from);
                        let row = json!([id, ticket, state, uid, active, flags]);
                        self.add_all(&to.resolved_found, &row);
                    }
                    Finding::Absent => {
                        let row = json!([id, ticket, state, null, null, null]);
                        self.add_all(&to.resolved_absent, &row);
                    }
                }
            }
        }
    }

    fn add_done(&mut self, recorded: &Recorded, id: Option<u64>) {
        let to = self.statements;
        let (app, ticket) = (&*recorded.app, recorded.ticket);
        match (&*recorded.write, id) {
            (
                Write::CreateUser {
                    address,
                    name,
                    active,
                },
                Some(uid),
            ) => {
                let name = name.as_deref().map(text);
                let active = active.map(i64::from);
                let row = json!([app, text(address), number(uid), ticket, name, active]);
                self.add_all(&to.user_created, &row);
            }
            (Write::EditUser { uid, flags, active }, _) => {
                self.add(&to.user_disputed, json!([app, number(*uid), ticket]));
                let active = active.map(i64::from);
                let row = json!([app, number(*uid), ticket, flags, active]);
                self.add(&to.user_edited, row);
            }
            (Write::DeleteUser { uid }, _) => {
                self.add(&to.user_disputed, json!([app, number(*uid), ticket]));
                self.add_all(&to.user_deleted, &json!([app, number(*uid), ticket]));
                self.add_failed(recorded, fate::UNKNOWN, 0);
            }
            (Write::CreateGroup { group, members }, Some(gid)) => {
                let GroupChange {
                    name,
                    flags,
                    active,
                } = group;
                let [remove, insert] = &to.group_created;
                self.add(remove, json!([app, ticket]));
                let gid = number(gid);
                let name = name.as_deref().map(text);
                let row = json!([app, gid, ticket, name, active.map(i64::from), flags]);
                self.add(insert, row);
                let [_, insert] = &to.members_seen;
                for member in members {
                    self.add(insert, json!([app, gid, text(member), 0, 0, 0]));
                }
            }
            (Write::EditGroup { gid, group }, _) => {
                let GroupChange {
                    name,
                    flags,
                    active,
                } = group;
                let name = name.as_deref().map(text);
                let active = active.map(i64::from);
                let row = json!([app, number(*gid), ticket, name, active, flags]);
                self.add(&to.group_edited, row);
            }
            (Write::DeleteGroup { gid }, _) => {
                self.add_all(&to.group_deleted, &json!([app, number(*gid), ticket]));
                self.add_failed(recorded, fate::UNKNOWN, 0);
            }
            (
                Write::AddMembers {
                    gid,
                    members,
                    permissions,
                },
                _,
            ) => {
                self.add(&to.group_known, json!([app, number(*gid)]));
                let (known, granted) = permissions.bits();
                for member in members {
                    let gid = number(*gid);
                    let row = json!([app, gid, text(member), ticket, known, granted]);
                    self.add(&to.members_added, row);
                }
            }
            (Write::RemoveMembers { gid, members }, _) => {
                for member in members {
                    let row = json!([app, number(*gid), text(member), ticket]);
                    self.add(&to.members_removed, row);
                }
                self.add_failed(recorded, fate::UNKNOWN, 0);
            }
            (Write::UserToken { uid, may_delete }, _) => {
                if *may_delete {
                    self.add(&to.user_missed, json!([app, number(*uid)]));
                }
            }
            // A reply that lacks the id is no success.
            (Write::CreateUser { .. } | Write::CreateGroup { .. }, None) => {
                self.add_failed(recorded, fate::UNKNOWN, UNKNOWN_DELAY);
            }
        }
    }

    /// After a deletion that was carried out, what is left has another write's ticket.
    fn add_failed(&mut self, recorded: &Recorded, fate: i64, delay: i64) {
        let to = self.statements;
        let (app, ticket) = (&*recorded.app, recorded.ticket);
        match &*recorded.write {
            Write::CreateUser { address, .. } => self.add_all(
                &to.user_ended_by_address,
                &json!([app, text(address), ticket, fate, delay]),
            ),
            Write::EditUser { uid, .. } | Write::DeleteUser { uid } => {
                self.add_all(
                    &to.user_ended,
                    &json!([app, number(*uid), ticket, fate, delay]),
                );
            }
            Write::UserToken { uid, may_delete } => {
                if fate == fate::MISSING || fate == fate::UNKNOWN && *may_delete {
                    self.add(&to.user_missed, json!([app, number(*uid)]));
                }
            }
            Write::CreateGroup { .. } => {
                self.add_all(&to.group_ended, &json!([app, ticket, fate, delay]));
            }
            Write::EditGroup { gid, .. } | Write::DeleteGroup { gid } => {
                let row = json!([app, number(*gid), ticket, fate, delay]);
                self.add_all(&to.group_ended_by_gid, &row);
            }
            Write::AddMembers { gid, members, .. } | Write::RemoveMembers { gid, members } => {
                for member in members {
                    let row = json!([app, number(*gid), text(member), ticket, fate, delay]);
                    self.add_all(&to.members_ended, &row);
                }
            }
        }
    }
}

/// The steps that forget a user, with its places in groups.
pub(in crate::store) fn forget_steps(
    statements: &'static Statements,
    app: &str,
    address: &str,
) -> Vec<Step> {
    let rows = json!([[app, text(address)]]).to_string();
    let steps = statements.forget.iter();
    steps
        .map(|sql| Step {
            sql,
            rows: rows.clone(),
        })
        .collect()
}

/// Takes records from the front that can be written together.
pub(super) fn size_of<'a>(records: impl Iterator<Item = &'a Record>, most_rows: usize) -> usize {
    let mut taken = HashSet::new();
    let mut rows = 0;
    let mut size = 0;
    for record in records {
        rows += record.rows();
        let subjects = record.subjects();
        let is_free = !subjects.iter().any(|subject| taken.contains(subject));
        if size > 0 && (rows > most_rows || !is_free) {
            break;
        }
        taken.extend(subjects);
        size += 1;
    }
    size
}

/// Ids as the database has them.
fn number(id: u64) -> i64 {
    id.cast_signed()
}

/// A text as the database has it: not too long for an index, and without NULs, which
/// PostgreSQL does not take.
pub(super) fn text(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_BYTES)];
    kept.replace('\0', "\u{fffd}")
}
