//! The statements. Both databases understand them, but for how parameters and the rows of a
//! JSON array are read, what the time is, in which order rows are locked, and how one that
//! another process is at is left out.
//!
//! Rows go in as one JSON array of arrays, and so in one statement, however many they are.
//! A statement that is carried out twice for one ticket does no more than one that is
//! carried out once.
//!
//! Every write of an entry takes it for its own, with its ticket, until the longest time that
//! the write can take has passed (`state` 2, `check_at`). `prior` is the state that it found: 3
//! if there was no entry, and 2 if another write was under way, so that neither of the two
//! confirms the entry: nobody knows which of them Mesibo carries out last.
//!
//! - `dialect`: what differs between the databases, and the shapes that statements share
//! - `users`, `groups`, `members`: the statements of each entry
//! - `lookups`: those of looking up uncertain users

mod dialect;
mod groups;
mod lookups;
mod members;
mod users;

use std::sync::LazyLock;

use self::dialect::{Dialect, POSTGRES, SQLITE};
pub(super) use self::{
    groups::GroupStatements, lookups::LookupStatements, members::MemberStatements,
    users::UserStatements,
};

/// The state of an entry whose last write has a known outcome.
pub(super) const CONFIRMED: i64 = 0;

/// The state of an entry that is to be looked up.
pub(super) const UNCERTAIN: i64 = 1;

/// How a fate is written.
pub(super) mod fate {
    pub(in crate::store::directory) const NOT_DONE: i64 = 0;
    pub(in crate::store::directory) const UNKNOWN: i64 = 1;
    pub(in crate::store::directory) const MISSING: i64 = 2;
}

/// The statements of one database.
#[derive(Debug)]
pub(in crate::store) struct Statements {
    pub(super) users: UserStatements,
    pub(super) groups: GroupStatements,
    pub(super) members: MemberStatements,
    pub(super) lookups: LookupStatements,
}

pub(in crate::store) static SQLITE_STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| Statements::new(&SQLITE));

pub(in crate::store) static POSTGRES_STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| Statements::new(&POSTGRES));

impl Statements {
    fn new(of: &Dialect) -> Self {
        Self {
            users: UserStatements::new(of),
            groups: GroupStatements::new(of),
            members: MemberStatements::new(of),
            lookups: LookupStatements::new(of),
        }
    }
}
