//! Random writes, faults, lookups, overlaps and servers that are killed or stopped, against a
//! Mesibo of a few lines: the directory confirms no user that Mesibo does not have, and has an
//! entry for each that it has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::Instant};

use super::{
    Server,
    directory::{APP, Opened, opened},
    sqlite_config,
};
use crate::store::{
    Config, Directory as _, Location, NoObserver,
    directory::{
        Fate, Finding, GroupChange, Handle, Intent, Jobs, POSTGRES_STATEMENTS, SQLITE_STATEMENTS,
        Write, Written, keep,
    },
    postgres, sqlite,
};

/// Addresses of a case.
const USERS: u8 = 3;

/// The lease of every write: longer than a few steps, so that it passes in some of the cases.
const LEASE: Duration = Duration::from_millis(250);

/// How long a slow machine may take besides until all is certain.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Create,
    Edit,
    Delete,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug)]
enum End {
    Answered,
    NotDone,
    /// The server is killed, after Mesibo has carried it out or before.
    Killed {
        is_done: bool,
    },
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        user: u8,
        kind: Kind,
        end: End,
    },
    /// Two writes that overlap. Mesibo carries out either first, and either is answered
    /// first. The server of the one that is carried out last may be killed before it knows.
    Overlap {
        user: u8,
        kinds: [Kind; 2],
        second_is_done_first: bool,
        second_is_answered_first: bool,
        is_one_killed: bool,
    },
    /// A write by a server that stops before it has written what it recorded.
    Stall {
        user: u8,
        kind: Kind,
    },
    /// Servers that were stopped go on.
    Resume,
    /// Mesibo carries out what killed servers have sent.
    CarryOut,
    LookUp,
}

/// A write that a killed server has sent.
struct Sent {
    write: Write,
    /// It is carried out before its lease passes, or never.
    lease: Instant,
}

/// A server that has stopped before it wrote anything.
struct Stalled {
    handle: Handle,
    jobs: Jobs,
    written: Vec<Written>,
    users: Vec<u8>,
}

impl Stalled {
    fn new(config: &Config) -> Self {
        let statements = match config.location {
            Location::Postgres(_) => &*POSTGRES_STATEMENTS,
            _ => &*SQLITE_STATEMENTS,
        };
        // So long does each write wait for its intent.
        let timeout = Duration::from_millis(1);
        let (handle, jobs) = Handle::new(statements, timeout, Arc::new(NoObserver));
        Self {
            handle,
            jobs,
            written: Vec::new(),
            users: Vec::new(),
        }
    }

    async fn write(&mut self, user: u8, write: Write, mesibo: &mut Mesibo) {
        let fate = mesibo.carry_out(&write);
        self.record(write, fate).await;
        self.users.push(user);
    }

    async fn record(&mut self, write: Write, fate: Fate) {
        let mut intent = self.handle.begin(APP.into(), write, LEASE).await;
        intent.sending();
        self.written.push(intent.settle(fate));
    }

    /// Writes all that waits.
    async fn resume(self, config: &Config) {
        let keeping = match &config.location {
            Location::Postgres(url) => {
                let pool = postgres::open(url, config).await.unwrap();
                let directory = postgres::Directory::new(&pool, config.timeout);
                tokio::spawn(keep(directory, self.handle.clone(), self.jobs))
            }
            Location::Sqlite(file) => {
                let directory = sqlite::Directory::new(sqlite::open(file, config).await.unwrap());
                tokio::spawn(keep(directory, self.handle.clone(), self.jobs))
            }
            Location::Memory => unreachable!("memory has no directory"),
        };
        for written in self.written {
            written.await;
        }
        self.handle.caught_up().await;
        keeping.abort();
    }
}

/// The users that Mesibo has, by address.
#[derive(Default)]
struct Mesibo {
    users: BTreeMap<String, u64>,
    next: u64,
}

impl Mesibo {
    fn carry_out(&mut self, write: &Write) -> Fate {
        match write {
            Write::CreateUser { address, .. } => {
                let next = &mut self.next;
                let uid = self.users.entry(address.clone()).or_insert_with(|| {
                    *next += 1;
                    *next
                });
                Fate::Done { id: Some(*uid) }
            }
            Write::EditUser { uid, .. } | Write::DeleteUser { uid } => {
                if !self.users.values().any(|known| known == uid) {
                    return Fate::Missing;
                }
                if matches!(write, Write::DeleteUser { .. }) {
                    self.users.retain(|_, known| known != uid);
                }
                Fate::Done { id: None }
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// The write on a user, if its uid can be known.
    fn write(&self, kind: Kind, address: &str) -> Option<Write> {
        let uid = self.users.get(address).copied();
        Some(match kind {
            Kind::Create => Write::CreateUser {
                address: address.into(),
                name: None,
                active: None,
            },
            Kind::Edit => Write::EditUser {
                uid: uid?,
                flags: Some(1),
                active: None,
            },
            Kind::Delete => Write::DeleteUser { uid: uid? },
        })
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind =
        || prop_oneof![3 => Just(Kind::Create), 1 => Just(Kind::Edit), 2 => Just(Kind::Delete)];
    let end = prop_oneof![
        3 => Just(End::Answered),
        1 => Just(End::NotDone),
        2 => any::<bool>().prop_map(|is_done| End::Killed { is_done }),
    ];
    let step = prop_oneof![
        4 => (0..USERS, kind(), end).prop_map(|(user, kind, end)| Step::Write { user, kind, end }),
        2 => (0..USERS, [kind(), kind()], any::<[bool; 3]>()).prop_map(
            |(user, kinds, [second_is_done_first, second_is_answered_first, is_one_killed])| {
                Step::Overlap {
                    user,
                    kinds,
                    second_is_done_first,
                    second_is_answered_first,
                    is_one_killed,
                }
            }
        ),
        1 => (0..USERS, kind()).prop_map(|(user, kind)| Step::Stall { user, kind }),
        1 => Just(Step::Resume),
        1 => Just(Step::CarryOut),
        2 => Just(Step::LookUp),
    ];
    prop::collection::vec(step, 1..16)
}

/// A case that is being played.
struct Play<'a> {
    store: &'a Opened,
    config: &'a Config,
    mesibo: &'a mut Mesibo,
    case: u64,
    sent: Vec<Sent>,
    stalled: Stalled,
}

impl Play<'_> {
    fn address(&self, user: u8) -> String {
        format!("{}-{user}", self.case)
    }

    async fn all(mut self, steps: &[Step]) {
        for step in steps {
            self.step(step).await;
            for user in 0..USERS {
                // What a server has not written nobody can know.
                if !self.stalled.users.contains(&user) {
                    agrees(self.store, self.mesibo, &self.address(user), false).await;
                }
            }
        }
        self.resume().await;
        let over = Instant::now() + 2 * LEASE + PATIENCE;
        while look_up(self.store, self.mesibo).await || self.has_uncertain().await {
            if Instant::now() > over {
                break;
            }
        }
        for user in 0..USERS {
            agrees(self.store, self.mesibo, &self.address(user), true).await;
        }
    }

    async fn has_uncertain(&self) -> bool {
        for user in 0..USERS {
            let entry = self.store.user(&self.address(user)).await;
            if entry.is_some_and(|entry| !entry.is_confirmed) {
                return true;
            }
        }
        false
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { user, kind, end } => {
                if let Some(write) = self.mesibo.write(kind, &self.address(user)) {
                    self.one(write, end).await;
                }
            }
            Step::Overlap {
                user,
                kinds,
                second_is_done_first,
                second_is_answered_first,
                is_one_killed,
            } => {
                let writes = kinds.map(|kind| self.mesibo.write(kind, &self.address(user)));
                let [Some(first), Some(second)] = writes else {
                    return;
                };
                let mut begun = vec![self.begin(first).await, self.begin(second).await];
                if second_is_done_first {
                    begun.reverse();
                }
                let killed = is_one_killed.then(|| begun.pop().expect("there are two"));
                let mut ends = Vec::new();
                for (intent, sent) in begun {
                    look_up(self.store, self.mesibo).await;
                    ends.push((intent, self.carry_out(&sent)));
                }
                if second_is_answered_first {
                    ends.reverse();
                }
                for (intent, fate) in ends {
                    intent.settle(fate).await;
                    look_up(self.store, self.mesibo).await;
                }
                if let Some((intent, sent)) = killed {
                    std::mem::forget(intent);
                    self.carry_out(&sent);
                }
            }
            Step::Stall { user, kind } => {
                if let Some(write) = self.mesibo.write(kind, &self.address(user)) {
                    self.stalled.write(user, write, self.mesibo).await;
                }
            }
            Step::Resume => self.resume().await,
            Step::CarryOut => {
                for sent in std::mem::take(&mut self.sent) {
                    self.carry_out(&sent);
                }
            }
            Step::LookUp => drop(look_up(self.store, self.mesibo).await),
        }
    }

    async fn begin(&self, write: Write) -> (Intent, Sent) {
        let lease = Instant::now() + LEASE;
        let intent = self.store.begin_for(write.clone(), LEASE).await;
        (intent, Sent { write, lease })
    }

    /// As a server sends nothing after the deadline, nothing is carried out after its lease.
    fn carry_out(&mut self, sent: &Sent) -> Fate {
        if sent.lease <= Instant::now() {
            return Fate::NotDone;
        }
        self.mesibo.carry_out(&sent.write)
    }

    async fn one(&mut self, write: Write, end: End) {
        let (intent, sent) = self.begin(write).await;
        match end {
            End::Answered => intent.settle(self.carry_out(&sent)).await,
            End::NotDone => intent.settle(Fate::NotDone).await,
            End::Killed { is_done } => {
                std::mem::forget(intent);
                if is_done {
                    self.carry_out(&sent);
                } else {
                    self.sent.push(sent);
                }
            }
        }
    }

    async fn resume(&mut self) {
        let stalled = std::mem::replace(&mut self.stalled, Stalled::new(self.config));
        if !stalled.users.is_empty() {
            stalled.resume(self.config).await;
        }
    }
}

/// Looks up a user, if one is due.
async fn look_up(store: &Opened, mesibo: &Mesibo) -> bool {
    let due = store.directory.take_due(APP, Duration::ZERO).await.unwrap();
    let Some(due) = due else {
        return false;
    };
    let finding = match mesibo.users.get(&due.address) {
        Some(&uid) => Finding::Found {
            uid,
            active: None,
            flags: None,
        },
        None => Finding::Absent,
    };
    store.directory.resolve(due, finding);
    store.after_all().await;
    true
}

async fn agrees(store: &Opened, mesibo: &Mesibo, address: &str, is_settled: bool) {
    let entry = store.user(address).await;
    let is_confirmed = entry.as_ref().is_some_and(|entry| entry.is_confirmed);
    let uid = entry.as_ref().and_then(|entry| entry.uid);
    let really = mesibo.users.get(address).copied();
    if is_confirmed {
        assert_eq!(uid, really, "{address} is invented");
    }
    assert!(really.is_none() || entry.is_some(), "{address} is lost");
    if is_settled {
        assert_eq!(is_confirmed, really.is_some(), "{address} stays uncertain");
    }
}

fn check(runtime: &Runtime, config: &Config, cases: u32) {
    let store = runtime.block_on(opened(config));
    let mesibo = std::cell::RefCell::new(Mesibo::default());
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Cases {
        cases,
        failure_persistence: None,
        ..Cases::default()
    });
    let played = runner.run(&steps(), |steps| {
        case.set(case.get() + 1);
        let play = Play {
            store: &store,
            config,
            mesibo: &mut mesibo.borrow_mut(),
            case: case.get(),
            sent: Vec::new(),
            stalled: Stalled::new(config),
        };
        runtime.block_on(play.all(&steps));
        Ok(())
    });
    played.unwrap();
    runtime.block_on(store.store.close());
}

#[test]
fn no_user_is_lost_and_none_is_invented() {
    let runtime = Runtime::new().unwrap();
    let folder = TempDir::new().unwrap();
    check(&runtime, &sqlite_config(&folder.path().join("ids.db")), 64);
    let Some(server) = Server::start() else {
        return;
    };
    let config = runtime.block_on(server.database("users"));
    check(&runtime, &config, 32);
}

#[tokio::test]
async fn a_group_that_a_stopped_server_has_made_is_uncertain_once_it_goes_on() {
    let folder = TempDir::new().unwrap();
    let config = sqlite_config(&folder.path().join("ids.db"));
    let store = opened(&config).await;
    let mut stalled = Stalled::new(&config);
    let group = Write::CreateGroup {
        group: GroupChange::default(),
        members: Vec::new(),
    };
    stalled.record(group, Fate::Done { id: Some(7) }).await;
    stalled.resume(&config).await;
    let group = (Some(7), String::new(), false);
    assert_eq!(store.groups(None).await, [group]);
    store.store.close().await;
}
