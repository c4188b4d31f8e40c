//! What holds for the directory in every database.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{LONG, Server, sqlite_config};
use crate::store::{
    Config, DirectDirectory, Directory, Location, NoObserver, Store,
    directory::{
        Conflict, ExistingUser, Fate, Finding, GroupAfter, GroupChange, GroupQuery, Intent,
        MemberQuery, Permissions, SeenMember, SeenUser, UserEntry, UserKey, UserQuery, Write,
    },
    open_all,
};

pub(super) const APP: &str = "shop \"1\"";

pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) directory: Arc<dyn Directory>,
}

pub(super) async fn opened(config: &Config) -> Opened {
    let opened = open_all(config, Arc::new(NoObserver)).await.unwrap();
    Opened {
        store: opened.store,
        directory: opened.directory.unwrap(),
    }
}

pub(super) fn group(name: &str) -> Write {
    Write::CreateGroup {
        group: GroupChange {
            name: Some(name.into()),
            ..GroupChange::default()
        },
        members: vec!["k1".into()],
    }
}

pub(super) fn create(address: &str) -> Write {
    Write::CreateUser {
        address: address.into(),
        name: Some("A \0 name".into()),
        active: None,
    }
}

impl Opened {
    pub(super) async fn begin(&self, write: Write) -> Intent {
        self.begin_for(write, LONG).await
    }

    pub(super) async fn begin_for(&self, write: Write, lease: Duration) -> Intent {
        let mut intent = self.directory.begin(APP.into(), write, lease).await;
        intent.sending();
        intent
    }

    pub(super) async fn write(&self, write: Write, fate: Fate) {
        self.begin(write).await.settle(fate).await;
    }

    pub(super) async fn user(&self, address: &str) -> Option<UserEntry> {
        self.directory
            .user(APP, UserKey::Address(address))
            .await
            .unwrap()
    }

    async fn uid(&self, uid: u64) -> Option<UserEntry> {
        self.directory.user(APP, UserKey::Uid(uid)).await.unwrap()
    }

    pub(super) async fn groups(&self, member: Option<&str>) -> Vec<(Option<u64>, String, bool)> {
        let query = GroupQuery {
            prefix: "",
            member,
            after: None,
            limit: 1_000,
        };
        let groups = self.directory.groups(APP, query).await.unwrap();
        let groups = groups.into_iter();
        groups
            .map(|group| (group.gid, group.name, group.is_confirmed))
            .collect()
    }

    pub(super) async fn members(&self, gid: u64) -> Vec<(String, Permissions, bool)> {
        let query = MemberQuery {
            gid,
            after: "",
            limit: 1_000,
        };
        let members = self.directory.members(APP, query).await.unwrap();
        let members = members.into_iter();
        members
            .map(|member| (member.address, member.permissions, member.is_confirmed))
            .collect()
    }

    /// How many groups and memberships are uncertain, and no write of them is under way.
    pub(super) async fn uncertain(&self) -> u64 {
        let [_, groups, members] = self.directory.count_uncertain(APP).await.unwrap();
        groups + members
    }

    /// Looks up the next user that is due, once one is.
    pub(super) async fn resolve(&self, findings: &[(&str, Finding)]) {
        let limit = Instant::now() + LONG;
        let due = loop {
            let due = self.directory.take_due(APP, Duration::ZERO).await.unwrap();
            if let Some(due) = due {
                break due;
            }
            assert!(Instant::now() < limit, "nothing is due");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut findings = findings.iter();
        let (_, finding) = findings
            .find(|(address, _)| *address == due.address)
            .unwrap();
        self.directory.resolve(due, *finding);
        self.after_all().await;
    }

    /// Waits until what was recorded is written: what is recorded later is written later.
    pub(super) async fn after_all(&self) {
        self.write(
            Write::EditUser {
                uid: u64::MAX,
                flags: None,
                active: None,
            },
            Fate::NotDone,
        )
        .await;
    }
}

pub(super) fn found(uid: u64) -> Finding {
    Finding::Found {
        uid,
        active: Some(false),
        flags: Some(7),
    }
}

async fn all(store: &Opened) {
    a_created_user_is_there_with_its_uid(store).await;
    what_was_not_done_changes_nothing(store).await;
    what_may_have_been_done_is_uncertain_until_it_is_looked_up(store).await;
    a_write_whose_process_ended_is_looked_up_after_its_lease(store).await;
    writes_that_overlap_leave_a_user_uncertain(store).await;
    a_lookup_does_not_undo_a_write_that_began_since(store).await;
    a_write_by_a_uid_without_an_address_keeps_its_user_uncertain(store).await;
    a_deleted_user_is_gone_with_its_places_in_groups(store).await;
    a_user_that_mesibo_misses_is_looked_up(store).await;
    a_user_known_by_its_uid_alone_gets_its_address(store).await;
    listed_users_are_uncertain_at_first_and_refreshed_later(store).await;
    a_group_goes_through_its_life(store).await;
    permissions_add_up(store).await;
    one_lookup_is_taken_in_a_while(store).await;
    pages_join_without_gaps(store).await;
    looks_that_come_together_find_each_its_own(store).await;
}

async fn a_created_user_is_there_with_its_uid(store: &Opened) {
    let intent = store.begin(create("a1")).await;
    let entry = store.user("a1").await.unwrap();
    assert!(!entry.is_confirmed && entry.uid.is_none());
    intent.settle(Fate::Done { id: Some(1) }).await;
    let entry = store.user("a1").await.unwrap();
    assert_eq!((entry.uid, entry.active), (Some(1), Some(true)));
    assert_eq!(entry.name.as_deref(), Some("A \u{fffd} name"));
    assert!(entry.is_confirmed && entry.created <= entry.changed);
    assert_eq!(store.uid(1).await, Some(entry.clone()));
    let edit = Write::EditUser {
        uid: 1,
        flags: Some(3),
        active: Some(false),
    };
    store.write(edit, Fate::Done { id: None }).await;
    let edited = store.uid(1).await.unwrap();
    assert_eq!((edited.flags, edited.active), (Some(3), Some(false)));
    assert!(edited.is_confirmed && edited.name == entry.name);
    // A new token changes nothing that is kept.
    store.write(create("a1"), Fate::Done { id: Some(1) }).await;
    assert_eq!(store.uid(1).await.unwrap().active, Some(false));
    assert!(
        store
            .directory
            .user("other", UserKey::Uid(1))
            .await
            .unwrap()
            .is_none()
    );
}

async fn looks_that_come_together_find_each_its_own(store: &Opened) {
    for uid in 601..=603 {
        let address = format!("together-{uid}@example.com");
        store
            .write(create(&address), Fate::Done { id: Some(uid) })
            .await;
    }
    store.write(group("t"), Fate::Done { id: Some(601) }).await;
    // More than go together, of every kind, of what there is and what there is not.
    let looks = (0..300).map(|n| async move {
        let uid = 601 + n % 4;
        let address = format!("together-{uid}@example.com");
        let expected = (uid < 604).then_some(Some(uid));
        match n % 3 {
            0 => {
                let found = store.user(&address).await;
                assert_eq!(found.map(|user| user.uid), expected);
            }
            1 => {
                let found = store.uid(uid).await.map(|user| user.address);
                assert_eq!(found, expected.map(|_| Some(address)));
            }
            _ => {
                let found = store.directory.group(APP, uid).await.unwrap();
                assert_eq!(
                    found.map(|group| group.gid),
                    (uid == 601).then_some(Some(uid))
                );
                assert_eq!(store.directory.group("other", uid).await.unwrap(), None);
            }
        }
    });
    join_all(looks).await;
}

async fn what_was_not_done_changes_nothing(store: &Opened) {
    store.write(create("b0"), Fate::NotDone).await;
    assert_eq!(store.user("b0").await, None);
    drop(store.directory.begin(APP.into(), create("b0"), LONG).await);
    // A caller goes away while its intent is being written.
    for write in [create("b0"), group("b0")] {
        let begun = store.directory.begin(APP.into(), write, LONG);
        assert!(begun.now_or_never().is_none());
    }
    store.after_all().await;
    assert_eq!(store.groups(None).await, []);
    store.write(create("b1"), Fate::Done { id: Some(10) }).await;
    let before = store.uid(10).await;
    for write in [
        create("b1"),
        Write::EditUser {
            uid: 10,
            flags: Some(1),
            active: None,
        },
        Write::DeleteUser { uid: 10 },
        Write::UserToken {
            uid: 10,
            may_delete: false,
        },
    ] {
        store.write(write, Fate::NotDone).await;
        assert_eq!(store.uid(10).await, before);
    }
    assert_eq!(store.user("b0").await, None);
    store
        .write(Write::DeleteUser { uid: 11 }, Fate::NotDone)
        .await;
    assert_eq!(store.uid(11).await, None);
}

async fn what_may_have_been_done_is_uncertain_until_it_is_looked_up(store: &Opened) {
    store.write(create("c1"), Fate::Unknown).await;
    let entry = store.user("c1").await.unwrap();
    assert!(!entry.is_confirmed && entry.uid.is_none());
    store.resolve(&[("c1", found(20))]).await;
    let entry = store.user("c1").await.unwrap();
    assert!(entry.is_confirmed && entry.uid == Some(20) && entry.flags == Some(7));
    for (write, finding) in [
        (
            Write::EditUser {
                uid: 20,
                flags: Some(1),
                active: None,
            },
            found(20),
        ),
        (Write::DeleteUser { uid: 20 }, found(20)),
        (Write::DeleteUser { uid: 20 }, Finding::Absent),
    ] {
        store.write(write, Fate::Unknown).await;
        assert!(!store.uid(20).await.unwrap().is_confirmed);
        store.resolve(&[("c1", finding)]).await;
        let entry = store.uid(20).await;
        assert_eq!(
            entry.map(|entry| entry.is_confirmed),
            (finding != Finding::Absent).then_some(true)
        );
    }
}

async fn a_write_whose_process_ended_is_looked_up_after_its_lease(store: &Opened) {
    std::mem::forget(
        store
            .begin_for(create("d1"), Duration::from_millis(1))
            .await,
    );
    assert!(!store.user("d1").await.unwrap().is_confirmed);
    store.resolve(&[("d1", found(30))]).await;
    assert!(store.uid(30).await.unwrap().is_confirmed);
}

async fn writes_that_overlap_leave_a_user_uncertain(store: &Opened) {
    store.write(create("e1"), Fate::Done { id: Some(40) }).await;
    for first_ends_first in [true, false] {
        let lease = Duration::from_millis(100);
        let edit = |flags| Write::EditUser {
            uid: 40,
            flags: Some(flags),
            active: None,
        };
        let first = store.begin_for(edit(1), lease).await;
        let second = store.begin_for(edit(2), lease).await;
        let (one, other) = if first_ends_first {
            (first, second)
        } else {
            (second, first)
        };
        one.settle(Fate::Done { id: None }).await;
        other.settle(Fate::Done { id: None }).await;
        assert!(
            !store.uid(40).await.unwrap().is_confirmed,
            "{first_ends_first}"
        );
        store.resolve(&[("e1", found(40))]).await;
        assert!(store.uid(40).await.unwrap().is_confirmed);
    }
}

async fn a_lookup_does_not_undo_a_write_that_began_since(store: &Opened) {
    store.write(create("f1"), Fate::Missing).await;
    let due = store
        .directory
        .take_due(APP, Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(due.address, "f1");
    store.write(create("f1"), Fate::Done { id: Some(50) }).await;
    store.directory.resolve(due, Finding::Absent);
    store
        .write(
            Write::UserToken {
                uid: 50,
                may_delete: false,
            },
            Fate::Done { id: None },
        )
        .await;
    assert!(store.uid(50).await.unwrap().is_confirmed);
}

async fn a_write_by_a_uid_without_an_address_keeps_its_user_uncertain(store: &Opened) {
    let (short, lease) = (Duration::from_millis(1), Duration::from_millis(500));
    for is_looked_up in [true, false] {
        let begun = Instant::now();
        if is_looked_up {
            std::mem::forget(store.begin_for(create("f2"), short).await);
        }
        // Its server is killed before Mesibo carries it out.
        let delete = Write::DeleteUser { uid: 51 };
        std::mem::forget(store.begin_for(delete, lease).await);
        if is_looked_up {
            store.resolve(&[("f2", found(51))]).await;
        } else {
            store.write(create("f2"), Fate::Done { id: Some(51) }).await;
        }
        assert!(!store.user("f2").await.unwrap().is_confirmed);
        store.resolve(&[("f2", Finding::Absent)]).await;
        assert!(begun.elapsed() >= lease, "{is_looked_up}");
        assert_eq!(store.user("f2").await, None);
    }
}

async fn a_deleted_user_is_gone_with_its_places_in_groups(store: &Opened) {
    store.write(create("g1"), Fate::Done { id: Some(60) }).await;
    let members = vec!["g1".into(), "g2".into()];
    let group = Write::CreateGroup {
        group: GroupChange::default(),
        members,
    };
    store.write(group, Fate::Done { id: Some(61) }).await;
    assert_eq!(store.members(61).await.len(), 2);
    store
        .write(Write::DeleteUser { uid: 60 }, Fate::Done { id: None })
        .await;
    assert_eq!((store.user("g1").await, store.uid(60).await), (None, None));
    assert_eq!(store.members(61).await.len(), 1);
    store
        .write(Write::DeleteGroup { gid: 61 }, Fate::Done { id: None })
        .await;
    assert_eq!(store.members(61).await, []);
}

async fn a_user_that_mesibo_misses_is_looked_up(store: &Opened) {
    for missed in [
        Write::EditUser {
            uid: 70,
            flags: Some(1),
            active: None,
        },
        Write::DeleteUser { uid: 70 },
        Write::UserToken {
            uid: 70,
            may_delete: false,
        },
    ] {
        store.write(create("h1"), Fate::Done { id: Some(70) }).await;
        store.write(missed, Fate::Missing).await;
        assert!(!store.uid(70).await.unwrap().is_confirmed);
        store.resolve(&[("h1", Finding::Absent)]).await;
        assert_eq!(store.user("h1").await, None);
    }
}

async fn a_user_known_by_its_uid_alone_gets_its_address(store: &Opened) {
    let edit = |uid| Write::EditUser {
        uid,
        flags: Some(1),
        active: None,
    };
    store.write(edit(80), Fate::Done { id: None }).await;
    assert_eq!(store.uid(80).await.unwrap().address, None);
    store.write(create("i1"), Fate::Done { id: Some(80) }).await;
    assert_eq!(store.uid(80).await.unwrap().address.as_deref(), Some("i1"));
    store.write(edit(81), Fate::Done { id: None }).await;
    store.write(edit(81), Fate::Missing).await;
    assert_eq!(store.uid(81).await, None);
    // A user whom the vendor's console has made anew.
    store.write(create("i1"), Fate::Done { id: Some(82) }).await;
    assert_eq!(store.uid(80).await, None);
    assert!(store.uid(82).await.unwrap().is_confirmed);
}

async fn listed_users_are_uncertain_at_first_and_refreshed_later(store: &Opened) {
    let app: Arc<str> = APP.into();
    let list = |uid, active| {
        let user = SeenUser {
            uid,
            address: "j1".into(),
            active: Some(active),
            flags: Some(9),
        };
        store.directory.saw_users(&app, Instant::now(), vec![user]);
    };
    list(90, true);
    store.resolve(&[("j1", found(90))]).await;
    assert!(store.uid(90).await.unwrap().is_confirmed);
    tokio::time::sleep(Duration::from_millis(5)).await;
    list(90, true);
    store.write(create("j2"), Fate::NotDone).await;
    let entry = store.uid(90).await.unwrap();
    assert!(entry.is_confirmed && entry.active == Some(true) && entry.flags == Some(9));
    // An older list knows less than a write since.
    let asked = Instant::now();
    store
        .write(
            Write::EditUser {
                uid: 90,
                flags: Some(1),
                active: None,
            },
            Fate::Done { id: None },
        )
        .await;
    let user = SeenUser {
        uid: 90,
        address: "j1".into(),
        active: None,
        flags: Some(2),
    };
    store.directory.saw_users(&app, asked, vec![user]);
    store.write(create("j2"), Fate::NotDone).await;
    assert_eq!(store.uid(90).await.unwrap().flags, Some(1));
    tokio::time::sleep(Duration::from_millis(5)).await;
    list(91, true);
    store.resolve(&[("j1", found(91))]).await;
    assert_eq!(store.user("j1").await.unwrap().uid, Some(91));
}

async fn a_group_goes_through_its_life(store: &Opened) {
    let named = |name: &str| GroupChange {
        name: Some(name.into()),
        ..GroupChange::default()
    };
    store.write(group("k not done"), Fate::NotDone).await;
    store.write(group("k unknown"), Fate::Unknown).await;
    store
        .write(group("k done"), Fate::Done { id: Some(100) })
        .await;
    assert_eq!(
        store.groups(None).await,
        [
            (Some(100), "k done".into(), true),
            (None, "k unknown".into(), false)
        ]
    );
    let edit = || Write::EditGroup {
        gid: 100,
        group: named("k edited"),
    };
    store.write(edit(), Fate::NotDone).await;
    assert_eq!(
        store.groups(Some("k1")).await,
        [(Some(100), "k done".into(), true)]
    );
    store.write(edit(), Fate::Unknown).await;
    assert_eq!(
        store.groups(Some("k1")).await,
        [(Some(100), "k done".into(), false)]
    );
    store.write(edit(), Fate::Done { id: Some(100) }).await;
    assert_eq!(
        store.groups(Some("k1")).await,
        [(Some(100), "k edited".into(), true)]
    );
    for (fate, left) in [(Fate::NotDone, true), (Fate::Unknown, false)] {
        store.write(Write::DeleteGroup { gid: 100 }, fate).await;
        assert_eq!(
            store.groups(Some("k1")).await,
            [(Some(100), "k edited".into(), left)]
        );
    }
    store
        .write(Write::DeleteGroup { gid: 100 }, Fate::Done { id: None })
        .await;
    assert_eq!(store.groups(Some("k1")).await, []);
    // A group made elsewhere, which its members make known, and which is gone.
    let add = Write::AddMembers {
        gid: 101,
        members: vec!["k1".into()],
        permissions: Permissions::default(),
    };
    store.write(add, Fate::Done { id: None }).await;
    assert_eq!(
        store.groups(Some("k1")).await,
        [(Some(101), String::new(), true)]
    );
}

async fn permissions_add_up(store: &Opened) {
    let app: Arc<str> = APP.into();
    let members = || vec!["l1".to_owned(), "l2".to_owned()];
    let add = |permissions| Write::AddMembers {
        gid: 110,
        members: members(),
        permissions,
    };
    let some = Permissions {
        can_send: Some(true),
        can_list: Some(false),
        ..Permissions::default()
    };
    let more = Permissions {
        can_send: Some(false),
        can_receive: Some(true),
        ..Permissions::default()
    };
    let both = Permissions {
        can_list: Some(false),
        ..more
    };
    store.write(add(some), Fate::NotDone).await;
    assert_eq!(store.members(110).await, []);
    store.write(add(some), Fate::Done { id: None }).await;
    store.write(add(more), Fate::Unknown).await;
    assert_eq!(store.members(110).await[0], ("l1".into(), some, false));
    store.write(add(more), Fate::Done { id: None }).await;
    assert_eq!(store.members(110).await[0], ("l1".into(), both, true));
    let seen = ["l1", "l3"].map(|address| SeenMember {
        address: address.into(),
        permissions: some,
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    store
        .directory
        .saw_members(&app, Instant::now(), 110, seen.to_vec());
    let remove = |members: Vec<String>| Write::RemoveMembers { gid: 110, members };
    store
        .write(remove(vec!["l2".into()]), Fate::Done { id: None })
        .await;
    let seen = Permissions {
        can_send: Some(true),
        ..both
    };
    assert_eq!(
        store.members(110).await,
        [("l1".into(), seen, true), ("l3".into(), some, true)]
    );
    store.write(remove(members()), Fate::Unknown).await;
    assert!(!store.members(110).await[0].2);
}

async fn one_lookup_is_taken_in_a_while(store: &Opened) {
    for address in ["m1", "m2"] {
        store.write(create(address), Fate::Missing).await;
    }
    let take = |every| store.directory.take_due(APP, every);
    let first = take(Duration::from_hours(1)).await.unwrap().unwrap();
    assert_eq!(take(Duration::ZERO).await.unwrap(), None);
    assert!(first.address.starts_with('m'));
}

async fn pages_join_without_gaps(store: &Opened) {
    let addresses: Vec<String> = (0..50).map(|n| format!("n{n:03}")).collect();
    for (uid, address) in (1_000..).zip(&addresses) {
        store
            .write(create(address), Fate::Done { id: Some(uid) })
            .await;
    }
    for prefix in ["n", "n01", "n\u{10ffff}"] {
        for limit in [1, 7, 100] {
            let mut all = Vec::new();
            let mut after = String::new();
            loop {
                let query = UserQuery {
                    prefix,
                    active: Some(true),
                    after: &after,
                    limit,
                };
                let page = store.directory.users(APP, query).await.unwrap();
                all.extend(page.iter().filter_map(|user| user.address.clone()));
                if page.len() < limit as usize {
                    break;
                }
                after.clone_from(all.last().unwrap());
            }
            let expected: Vec<_> = addresses
                .iter()
                .filter(|address| address.starts_with(prefix))
                .cloned()
                .collect();
            assert_eq!(all, expected, "{prefix} {limit}");
        }
    }
    let mut names = Vec::new();
    let mut after: Option<(String, i64, u64)> = None;
    for gid in 2_000..2_007 {
        let group = GroupChange {
            name: Some(if gid % 2 == 0 { "n" } else { "nn" }.into()),
            ..GroupChange::default()
        };
        store
            .write(
                Write::CreateGroup {
                    group,
                    members: Vec::new(),
                },
                Fate::Done { id: Some(gid) },
            )
            .await;
    }
    loop {
        let after_ref = after.as_ref().map(|(name, id, gid)| GroupAfter {
            name,
            id: *id,
            gid: *gid,
        });
        let query = GroupQuery {
            prefix: "n",
            member: None,
            after: after_ref,
            limit: 2,
        };
        let page = store.directory.groups(APP, query).await.unwrap();
        names.extend(page.iter().map(|group| (group.name.clone(), group.gid)));
        let Some(last) = page.last() else { break };
        after = Some((last.name.clone(), last.id, last.gid.unwrap_or(0)));
    }
    let gids: BTreeMap<_, _> = names.iter().map(|(name, gid)| (*gid, name)).collect();
    assert!(
        names.is_sorted_by_key(|(name, _)| name.clone()) && gids.len() == 7 && names.len() == 7
    );
}

#[tokio::test]
async fn the_directory_in_sqlite_keeps_every_promise() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let store = opened(&sqlite_config(&file)).await;
    all(&store).await;
    store.store.close().await;
    forgets(&sqlite_config(&file)).await;
    adds_existing_users(&sqlite_config(&file)).await;
}

#[tokio::test]
async fn the_directory_in_postgres_keeps_every_promise() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("directory").await;
    let store = opened(&config).await;
    all(&store).await;
    store.store.close().await;
    forgets(&config).await;
    adds_existing_users(&config).await;
}

#[tokio::test]
async fn memory_and_a_store_without_one_have_no_directory() {
    let folder = TempDir::new().unwrap();
    let without = Config {
        directory: false,
        ..sqlite_config(&folder.path().join("ids.db"))
    };
    for config in [Config::new(Location::Memory), without] {
        let opened = open_all(&config, Arc::new(NoObserver)).await.unwrap();
        assert!(opened.directory.is_none());
        opened.store.close().await;
    }
}

async fn adds_existing_users(config: &Config) {
    let user = |uid, address: &str| ExistingUser {
        uid,
        address: address.into(),
        name: Some("A \0 name".into()),
        active: Some(true),
        flags: None,
    };
    let store = opened(config).await;
    let app: Arc<str> = APP.into();
    let listed = [("o3", 3_003), ("o4", 3_004)].map(|(address, uid)| SeenUser {
        uid,
        address: address.into(),
        active: None,
        flags: None,
    });
    store
        .directory
        .saw_users(&app, Instant::now(), listed.into());
    let edit = Write::EditUser {
        uid: 3_005,
        flags: Some(1),
        active: None,
    };
    store.write(edit, Fate::Done { id: None }).await;
    std::mem::forget(store.begin(create("o6")).await);

    let direct = DirectDirectory::open(config).await.unwrap();
    let add = async |users: &[ExistingUser], is_verified| {
        direct.add_existing(APP, users, is_verified).await.unwrap()
    };
    let new = [
        user(3_001, "o1"),
        user(u64::MAX - 1, "o2"),
        user(3_005, "o5"),
    ];
    for _ in 0..2 {
        assert_eq!(add(&new, false).await, []);
    }
    for user in &new {
        let entry = store.uid(user.uid).await.unwrap();
        assert!(entry.is_confirmed && entry.name.as_deref() == Some("A \u{fffd} name"));
        assert_eq!(entry.address.as_ref(), Some(&user.address));
    }
    assert_eq!(store.uid(3_005).await.unwrap().flags, Some(1));
    // Only what Mesibo was asked for is confirmed.
    for is_verified in [false, true] {
        assert_eq!(add(&[user(3_003, "o3")], is_verified).await, []);
        assert_eq!(store.user("o3").await.unwrap().is_confirmed, is_verified);
    }
    let before = (store.user("o1").await, store.user("o6").await);
    let otherwise = [user(4_001, "o1"), user(3_001, "o7"), user(3_006, "o6")];
    let conflict = |index, uid, address: Option<&str>| Conflict {
        index,
        uid,
        address: address.map(Into::into),
    };
    assert_eq!(
        add(&otherwise, true).await,
        [
            conflict(0, Some(3_001), None),
            conflict(1, None, Some("o1")),
            conflict(2, None, None),
        ]
    );
    assert_eq!((store.user("o1").await, store.user("o6").await), before);
    assert!(!store.user("o4").await.unwrap().is_confirmed);
    direct.close().await;
    store.store.close().await;
}

async fn forgets(config: &Config) {
    let direct = DirectDirectory::open(config).await.unwrap();
    direct.forget(APP, "n001").await.unwrap();
    direct.close().await;
    let store = opened(config).await;
    assert_eq!(store.user("n001").await, None);
    assert!(store.user("n002").await.is_some());
    store.store.close().await;
}
