//! Random writes, faults, lookups and overlaps against a Mesibo of a few lines: the directory
//! confirms no user that Mesibo does not have, and has an entry for each that it has.

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    Server,
    directory::{APP, Opened, opened},
    sqlite_config,
};
use crate::store::{
    Config,
    directory::{Fate, Finding, Intent, Write},
};

/// Addresses of a case.
const USERS: u8 = 3;

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
    /// The process is killed, after Mesibo has carried it out or before.
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
    /// first.
    Overlap {
        user: u8,
        kinds: [Kind; 2],
        second_is_done_first: bool,
        second_is_answered_first: bool,
    },
    LookUp,
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
        2 => (0..USERS, [kind(), kind()], any::<bool>(), any::<bool>()).prop_map(
            |(user, kinds, second_is_done_first, second_is_answered_first)| Step::Overlap {
                user,
                kinds,
                second_is_done_first,
                second_is_answered_first,
            }
        ),
        1 => Just(Step::LookUp),
    ];
    prop::collection::vec(step, 1..12)
}

async fn play(store: &Opened, mesibo: &mut Mesibo, case: u64, steps: &[Step]) {
    let address = |user: u8| format!("{case}-{user}");
    for step in steps {
        match *step {
            Step::Write { user, kind, end } => {
                let Some(write) = mesibo.write(kind, &address(user)) else {
                    continue;
                };
                one(store, mesibo, write, end).await;
            }
            Step::Overlap {
                user,
                kinds,
                second_is_done_first,
                second_is_answered_first,
            } => {
                let writes = kinds.map(|kind| mesibo.write(kind, &address(user)));
                let [Some(first), Some(second)] = writes else {
                    continue;
                };
                let intents = [
                    store.begin(first.clone()).await,
                    store.begin(second.clone()).await,
                ];
                let fates = if second_is_done_first {
                    let second = mesibo.carry_out(&second);
                    [mesibo.carry_out(&first), second]
                } else {
                    [mesibo.carry_out(&first), mesibo.carry_out(&second)]
                };
                let mut ends: Vec<(Intent, Fate)> = intents.into_iter().zip(fates).collect();
                if second_is_answered_first {
                    ends.reverse();
                }
                for (intent, fate) in ends {
                    intent.settle(fate).await;
                }
            }
            Step::LookUp => {
                look_up(store, mesibo).await;
            }
        }
        for user in 0..USERS {
            agrees(store, mesibo, &address(user), false).await;
        }
    }
    // Leases of a millisecond pass.
    tokio::time::sleep(Duration::from_millis(3)).await;
    while look_up(store, mesibo).await {}
    for user in 0..USERS {
        agrees(store, mesibo, &address(user), true).await;
    }
}

async fn one(store: &Opened, mesibo: &mut Mesibo, write: Write, end: End) {
    match end {
        End::Answered => {
            let intent = store.begin(write.clone()).await;
            intent.settle(mesibo.carry_out(&write)).await;
        }
        End::NotDone => store.write(write, Fate::NotDone).await,
        End::Killed { is_done } => {
            let lease = Duration::from_millis(1);
            std::mem::forget(store.begin_for(write.clone(), lease).await);
            if is_done {
                mesibo.carry_out(&write);
            }
            // Nothing begins before the lease of what a process left behind has passed.
            tokio::time::sleep(Duration::from_millis(2)).await;
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
        runtime.block_on(play(&store, &mut mesibo.borrow_mut(), case.get(), &steps));
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
