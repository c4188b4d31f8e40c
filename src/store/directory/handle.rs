//! The way from the calls to the directory.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    Directory, Statements,
    entry::{GroupEntry, MemberEntry, UserEntry},
    finding::{Due, Finding},
    inbox::{Inbox, Job},
    jobs::{FetchJob, Jobs, LookUpJob},
    progress::Progress,
    query::{GroupQuery, MemberQuery, UserKey, UserQuery, after, end_of},
    record::Record,
    rows::{Bind, Fetch, Row, text},
    write::{
        Asked, Fate, Intent, Recorded, SeenMember, SeenUser, Sink, Write, Written, new_ticket,
    },
};
use crate::store::{Error, observer::Observer, reply};

/// How many reads may wait.
const MAX_READS: usize = 1_024;

/// The way to the directory, whose keeper is in the store's thread. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct Handle(Arc<Inner>);

struct Inner {
    inbox: Arc<Inbox>,
    /// Whether no other process reads what this one writes. Not known at the start.
    is_alone: OnceLock<IsAlone>,
    reader: mpsc::UnboundedSender<FetchJob>,
    finder: mpsc::UnboundedSender<LookUpJob>,
    reads: Arc<Semaphore>,
    statements: &'static Statements,
    timeout: Duration,
    observer: Arc<dyn Observer>,
}

type IsAlone = Box<dyn Fn() -> bool + Send + Sync>;

impl Handle {
    pub(in crate::store) fn new(
        statements: &'static Statements,
        timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> (Self, Jobs) {
        let (inbox, records) = Inbox::new(Arc::clone(&observer));
        let (reader, fetches) = mpsc::unbounded_channel();
        let (finder, look_ups) = mpsc::unbounded_channel();
        let handle = Self(Arc::new(Inner {
            inbox,
            is_alone: OnceLock::new(),
            reader,
            finder,
            reads: Arc::new(Semaphore::new(MAX_READS)),
            statements,
            timeout,
            observer,
        }));
        let jobs = Jobs {
            records,
            fetches,
            look_ups,
        };
        (handle, jobs)
    }

    /// Lets calls not wait for outcomes that Mesibo can be asked for, while no other process
    /// reads what this one writes.
    pub(in crate::store) fn gather_while(
        &self,
        is_alone: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let _ = self.0.is_alone.set(Box::new(is_alone));
    }

    /// Writes what waits, for at most the store's time limit, and ends the directory.
    pub(in crate::store) fn close(&self) -> oneshot::Receiver<()> {
        let (reply, closed) = oneshot::channel();
        let deadline = Instant::now() + self.0.timeout;
        self.0.inbox.tell(Job::Close(deadline, reply));
        closed
    }

    /// How many records wait to be written.
    pub(in crate::store) fn backlog(&self) -> usize {
        self.0.inbox.backlog()
    }

    pub(super) fn observer(&self) -> &Arc<dyn Observer> {
        &self.0.observer
    }

    pub(super) fn statements(&self) -> &'static Statements {
        self.0.statements
    }

    pub(super) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Resolves once what calls have not waited for is written, or cannot be for now.
    pub(in crate::store) async fn caught_up(&self) {
        self.0.inbox.caught_up().await;
    }

    pub(super) fn progress(&self) -> &Progress {
        self.0.inbox.progress()
    }

    /// Writes an intent. Whether that was in time is the answer.
    async fn intend(&self, recorded: Recorded, lease: Duration) -> bool {
        let (written, is_written) = reply::channel();
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        let begin = Record::Begin { recorded, lease };
        self.0.inbox.record(begin, written);
        if self.progress().is_down() {
            return false;
        }
        matches!(timeout(self.0.timeout, is_written).await, Ok(Ok(())))
    }

    fn note(&self, record: Record) {
        self.0.inbox.record(record, reply::unawaited());
    }

    async fn fetch(&self, sql: &'static str, binds: Vec<Bind>, writes: bool) -> Fetched {
        let place = self.place_to_read().await?;
        let (reply, answer) = reply::channel();
        let _ = self.0.reader.send(FetchJob {
            place,
            fetch: Fetch { sql, binds, writes },
            reply,
        });
        self.answer(answer).await
    }

    async fn look_up(&self, sql: &'static str, app: &str, key: Bind) -> Result<Option<Row>, Error> {
        let place = self.place_to_read().await?;
        let (reply, answer) = reply::channel();
        let _ = self.0.finder.send(LookUpJob {
            _place: place,
            sql,
            app: app.into(),
            key,
            reply,
        });
        self.answer(answer).await
    }

    /// A place, once what calls have not waited for is written. A read that would wait for long
    /// goes on without it.
    async fn place_to_read(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.0.reads).try_acquire_owned();
        let place = place.map_err(|_| Error::OVERLOADED)?;
        let _ = timeout(self.0.timeout / 2, self.caught_up()).await;
        Ok(place)
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
        match timeout(self.0.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::UNAVAILABLE),
        }
    }

    async fn one(&self, sql: &'static str, binds: Vec<Bind>) -> Result<Option<Row>, Error> {
        Ok(self.fetch(sql, binds, false).await?.pop())
    }

    async fn take_due(&self, app: &str, every: Duration) -> Result<Option<Due>, Error> {
        let to = &self.0.statements.lookups;
        if self.one(&to.is_due, vec![app.into()]).await?.is_none() {
            return Ok(None);
        }
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 2);
        let turn = vec![app.into(), Bind::Number(every)];
        if self.fetch(&to.take_turn, turn, true).await?.is_empty() {
            return Ok(None);
        }
        let row = self
            .fetch(&to.take_due, vec![app.into()], true)
            .await?
            .pop();
        Ok(row.map(|row| Due {
            id: row.id,
            ticket: row.number.unwrap_or_default(),
            state: row.state,
            address: row.address.unwrap_or_default(),
        }))
    }

    async fn uncertain(&self, app: &str) -> Result<[u64; 3], Error> {
        let mut counts = [0; 3];
        for (sql, count) in self.0.statements.lookups.uncertain.iter().zip(&mut counts) {
            let row = self.one(sql, vec![app.into()]).await?;
            *count = row.map_or(0, |row| row.state.cast_unsigned());
        }
        Ok(counts)
    }
}

type Fetched = Result<Vec<Row>, Error>;

impl Sink for Inner {
    fn settle(&self, recorded: Recorded, fate: Fate) -> Written {
        let is_alone = || self.is_alone.get().is_some_and(|is_alone| is_alone());
        let gathers = recorded.write.is_found_again() && is_alone();
        let end = Record::End { recorded, fate };
        if gathers {
            self.inbox.gather(end);
            Written::AT_ONCE
        } else {
            let (written, is_written) = reply::channel();
            self.inbox.record(end, written);
            Written::once(is_written)
        }
    }
}

impl Directory for Handle {
    fn begin(&self, app: Arc<str>, write: Write, lease: Duration) -> BoxFuture<'_, Intent> {
        Box::pin(async move {
            let recorded = Recorded {
                app,
                ticket: new_ticket(),
                write: Arc::new(write),
                is_late: false,
            };
            // It ends the write if the caller goes away meanwhile.
            let mut intent = Intent::new(recorded.clone(), Arc::clone(&self.0) as Arc<dyn Sink>);
            let needs_intent = !matches!(*recorded.write, Write::UserToken { .. });
            if needs_intent && !self.intend(recorded, lease).await {
                intent.set_late();
            }
            intent
        })
    }

    fn saw_users(&self, app: &Arc<str>, asked: Instant, users: Vec<SeenUser>) {
        if !users.is_empty() {
            let (app, asked) = (Arc::clone(app), Asked(asked));
            self.note(Record::SawUsers { app, asked, users });
        }
    }

    fn saw_members(&self, app: &Arc<str>, asked: Instant, gid: u64, members: Vec<SeenMember>) {
        let (app, asked) = (Arc::clone(app), Asked(asked));
        self.note(Record::SawMembers {
            app,
            asked,
            gid,
            members,
        });
    }

    fn missed_user(&self, app: &Arc<str>, uid: u64) {
        let app = Arc::clone(app);
        self.note(Record::MissedUser { app, uid });
    }

    fn user<'a>(
        &'a self,
        app: &'a str,
        key: UserKey<'a>,
    ) -> BoxFuture<'a, Result<Option<UserEntry>, Error>> {
        let to = &self.0.statements.users;
        let (sql, key): (&'static str, _) = match key {
            UserKey::Uid(uid) => (&to.by_uid, Bind::Number(uid.cast_signed())),
            UserKey::Address(address) => (&to.by_address, address.into()),
        };
        Box::pin(async move {
            let row = self.look_up(sql, app, key).await?;
            Ok(row.map(UserEntry::from_row))
        })
    }

    fn users<'a>(
        &'a self,
        app: &'a str,
        query: UserQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<UserEntry>, Error>> {
        let [any, enabled, disabled] = &self.0.statements.users.page;
        let sql: &'static str = match query.active {
            None => any,
            Some(true) => enabled,
            Some(false) => disabled,
        };
        let from = first(query.prefix, query.after);
        let to = Bind::Text(end_of(query.prefix));
        let binds = vec![app.into(), Bind::Number(query.limit.into()), from, to];
        Box::pin(async move {
            let rows = self.fetch(sql, binds, false).await?;
            Ok(rows.into_iter().map(UserEntry::from_row).collect())
        })
    }

    fn group<'a>(
        &'a self,
        app: &'a str,
        gid: u64,
    ) -> BoxFuture<'a, Result<Option<GroupEntry>, Error>> {
        Box::pin(async move {
            let key = Bind::Number(gid.cast_signed());
            let sql = &self.0.statements.groups.by_gid;
            let row = self.look_up(sql, app, key).await?;
            Ok(row.map(GroupEntry::from_row))
        })
    }

    fn groups<'a>(
        &'a self,
        app: &'a str,
        query: GroupQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<GroupEntry>, Error>> {
        let to = &self.0.statements.groups;
        let limit = Bind::Number(query.limit.into());
        let end = Bind::Text(end_of(query.prefix));
        let (sql, binds): (&'static str, _) = match (query.member, query.after) {
            (Some(member), after) => {
                let after = after.map_or(i64::MIN, |after| after.gid.cast_signed());
                let after = Bind::Number(after);
                let prefix = query.prefix.into();
                let binds = vec![app.into(), limit, member.into(), after, prefix, end];
                (&to.page_of_member, binds)
            }
            (None, None) => {
                let (name, id) = (query.prefix.into(), Bind::Number(i64::MIN));
                (&to.page, vec![app.into(), limit, name, id, end])
            }
            (None, Some(after)) => {
                let (name, id) = (after.name.into(), Bind::Number(after.id));
                (&to.page, vec![app.into(), limit, name, id, end])
            }
        };
        Box::pin(async move {
            let rows = self.fetch(sql, binds, false).await?;
            Ok(rows.into_iter().map(GroupEntry::from_row).collect())
        })
    }

    fn members<'a>(
        &'a self,
        app: &'a str,
        query: MemberQuery<'a>,
    ) -> BoxFuture<'a, Result<Vec<MemberEntry>, Error>> {
        let gid = Bind::Number(query.gid.cast_signed());
        let limit = Bind::Number(query.limit.into());
        let binds = vec![app.into(), limit, gid, query.after.into()];
        let sql = &self.0.statements.members.page;
        Box::pin(async move {
            let rows = self.fetch(sql, binds, false).await?;
            Ok(rows.into_iter().map(MemberEntry::from_row).collect())
        })
    }

    fn take_due<'a>(
        &'a self,
        app: &'a str,
        every: Duration,
    ) -> BoxFuture<'a, Result<Option<Due>, Error>> {
        Box::pin(self.take_due(app, every))
    }

    fn resolve(&self, due: Due, finding: Finding) {
        self.note(Record::Resolve { due, finding });
    }

    fn count_uncertain<'a>(&'a self, app: &'a str) -> BoxFuture<'a, Result<[u64; 3], Error>> {
        Box::pin(self.uncertain(app))
    }
}

/// The text that a page begins with.
fn first(prefix: &str, last: &str) -> Bind {
    Bind::Text(if last.is_empty() {
        prefix.to_owned()
    } else {
        after(last)
    })
}

impl From<&str> for Bind {
    fn from(value: &str) -> Self {
        Self::Text(text(value).into_owned())
    }
}
