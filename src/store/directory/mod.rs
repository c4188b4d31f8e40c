//! The directory: which users, groups and memberships Mesibo has, as far as the facade
//! knows.
//!
//! A write is recorded before it is sent, as an intent, and settled once its outcome is
//! known. In between its entries are uncertain, and if the process ends in between, they
//! stay so. An intent and its settlement have the same ticket. If two writes of one entry
//! overlap, nobody knows which of them Mesibo carried out last: the ticket of the first to
//! end is not the entry's, and the entry stays uncertain when both have ended.
//!
//! An uncertain user is looked up at Mesibo, by whichever process has the turn. Groups and
//! memberships cannot be looked up.

mod batch;
mod entry;
mod existing;
mod finding;
mod handle;
mod inbox;
mod jobs;
mod keeper;
mod progress;
mod query;
mod reader;
mod record;
mod rows;
mod sql;
mod waiting;
mod write;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub(super) use self::{
    batch::forget_steps,
    existing::{conflicts_of, existing_fetch, existing_steps},
    handle::Handle,
    jobs::Jobs,
    keeper::keep,
    rows::{Backend, Bind, Columns, Fetch, Row, Step},
    sql::{POSTGRES_STATEMENTS, SQLITE_STATEMENTS, Statements},
};
pub use self::{
    entry::{GroupEntry, MemberEntry, Permissions, UserEntry},
    existing::{Conflict, ExistingUser},
    finding::{Due, Finding},
    query::{GroupAfter, GroupQuery, MemberQuery, UserKey, UserQuery},
    write::{Fate, GroupChange, Intent, SeenMember, SeenUser, Write, Written},
};
use super::Error;

/// Which users, groups and memberships Mesibo has.
///
/// Recording a write never fails for its caller: what cannot be written is tried again in
/// the background, and what there is no room for is counted, and lost.
pub trait Directory: Send + Sync {
    /// Records that a write is about to be sent. Resolves once that is durable, or after the
    /// store's time limit; at once if the database is known not to answer.
    ///
    /// `lease` is the longest time that the write can take.
    fn begin(&self, app: Arc<str>, write: Write, lease: Duration) -> BoxFuture<'_, Intent>;

    /// Adds users that a list of Mesibo's had, which was asked for at `asked`. Those that are
    /// new are uncertain until they are looked up: they may have been deleted since.
    fn saw_users(&self, app: &Arc<str>, asked: Instant, users: Vec<SeenUser>);

    /// Adds members of a group that a list of Mesibo's had, which was asked for at `asked`.
    fn saw_members(&self, app: &Arc<str>, asked: Instant, gid: u64, members: Vec<SeenMember>);

    /// Marks a user whom Mesibo says it does not have: it is looked up.
    fn missed_user(&self, app: &Arc<str>, uid: u64);

    /// Finds a user.
    ///
    /// # Errors
    ///
    /// As every read: [`Error::Overloaded`] if too many wait, [`Error::Unavailable`] if the
    /// database did not answer within the store's time limit.
    fn user<'a>(
        &'a self,
        app: &'a str,
        key: UserKey<'a>,
    ) -> BoxFuture<'a, Result<Option<UserEntry>, Error>>;

    /// A page of users whose address is known, by address.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn users<'a>(
        &'a self,
        app: &'a str,
        query: UserQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<UserEntry>, Error>>;

    /// Finds a group.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn group<'a>(
        &'a self,
        app: &'a str,
        gid: u64,
    ) -> BoxFuture<'a, Result<Option<GroupEntry>, Error>>;

    /// A page of groups, by name, or by gid if they are those of a member.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn groups<'a>(
        &'a self,
        app: &'a str,
        query: GroupQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<GroupEntry>, Error>>;

    /// A page of a group's members, by address.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn members<'a>(
        &'a self,
        app: &'a str,
        query: MemberQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<MemberEntry>, Error>>;

    /// Takes an uncertain user to look up, if there is one whose time has come, and no other
    /// process took one of the app within `every`.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn take_due<'a>(
        &'a self,
        app: &'a str,
        every: Duration,
    ) -> BoxFuture<'a, Result<Option<Due>, Error>>;

    /// Records what Mesibo said of a user, unless a write of it has begun since.
    fn resolve(&self, due: Due, finding: Finding);

    /// How many users, groups and memberships of an app are uncertain, but for writes that
    /// are under way.
    ///
    /// # Errors
    ///
    /// As [`Directory::user`].
    fn count_uncertain<'a>(&'a self, app: &'a str) -> BoxFuture<'a, Result<[u64; 3], Error>>;
}
