//! What is to be written, and what of it can be written together.

use std::{collections::HashSet, sync::Arc};

use super::{
    finding::{Due, Finding},
    write::{Asked, Fate, Recorded, SeenMember, SeenUser, Write},
};

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
enum Subject {
    Uid(Arc<str>, u64),
    Address(Arc<str>, String),
    Gid(Arc<str>, u64),
    Ticket(i64),
    Row(i64),
}

impl Record {
    /// How many rows it is, about.
    fn rows(&self) -> usize {
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

    fn subjects(&self) -> Vec<Subject> {
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
