//! What is to be written, and what of it can be written together.

use std::{hash::BuildHasher, iter, sync::Arc};

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
#[derive(Hash)]
enum Subject<'a> {
    Uid(&'a str, u64),
    Address(&'a str, &'a str),
    Gid(&'a str, u64),
    Ticket(i64),
    Row(i64),
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

    /// What it is about, as hashes.
    pub(super) fn subjects(&self, hashes: &impl BuildHasher) -> Vec<u64> {
        let hash = |subject: Subject<'_>| hashes.hash_one(subject);
        match self {
            Self::Begin { recorded, .. } => subjects(recorded, None).map(hash).collect(),
            Self::End { recorded, fate } => match fate {
                Fate::Done { id } => subjects(recorded, *id).map(hash).collect(),
                _ => subjects(recorded, None).map(hash).collect(),
            },
            Self::SawUsers { app, users, .. } => {
                let subjects = users.iter().flat_map(|user| {
                    [
                        Subject::Uid(app, user.uid),
                        Subject::Address(app, &user.address),
                    ]
                });
                subjects.map(hash).collect()
            }
            Self::SawMembers { app, gid, .. } => vec![hash(Subject::Gid(app, *gid))],
            Self::MissedUser { app, uid } => vec![hash(Subject::Uid(app, *uid))],
            Self::Resolve { due, .. } => vec![hash(Subject::Row(due.id))],
        }
    }
}

fn subjects(recorded: &Recorded, id: Option<u64>) -> impl Iterator<Item = Subject<'_>> {
    let app = &*recorded.app;
    let (subject, made) = match &*recorded.write {
        Write::CreateUser { address, .. } => (
            Subject::Address(app, address),
            id.map(|uid| Subject::Uid(app, uid)),
        ),
        Write::EditUser { uid, .. } | Write::DeleteUser { uid } | Write::UserToken { uid, .. } => {
            (Subject::Uid(app, *uid), None)
        }
        Write::CreateGroup { .. } => (
            Subject::Ticket(recorded.ticket),
            id.map(|gid| Subject::Gid(app, gid)),
        ),
        Write::EditGroup { gid, .. }
        | Write::DeleteGroup { gid }
        | Write::AddMembers { gid, .. }
        | Write::RemoveMembers { gid, .. } => (Subject::Gid(app, *gid), None),
    };
    iter::once(subject).chain(made)
}
