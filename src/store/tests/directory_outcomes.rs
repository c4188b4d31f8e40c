//! What the directory says after every write with every outcome, and after the look-up.

use std::{mem, time::Duration};

use futures_util::future::BoxFuture;
use tempfile::TempDir;

use super::{
    Server,
    directory::{Opened, found, opened},
    sqlite_config,
};
use crate::store::directory::{Fate, Finding, GroupChange, Permissions, Write};

/// What the directory says of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Absent,
    Uncertain,
    Confirmed,
}

use Said::{Absent, Confirmed, Uncertain};

/// How a write ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    NotDone,
    Missing,
    Unknown,
    /// Its process is killed after the intent was written.
    Killed,
}

const ENDS: [End; 5] = [
    End::Done,
    End::NotDone,
    End::Missing,
    End::Unknown,
    End::Killed,
];

/// What the directory says after each of [`ENDS`], in their order.
type Expected = [Said; 5];

/// Makes a write of the subject with an id.
type Make = fn(u64) -> Write;

/// Looks at the subject with an id.
type Look = for<'a> fn(&'a Opened, u64) -> BoxFuture<'a, Said>;

/// What is written before, what is written then, and of what the directory says what.
type GroupCase<'a> = (&'a [Make], Make, Look, Expected);

/// Begins a write, and ends it. One that creates, and is carried out, gets this id.
async fn write(store: &Opened, write: Write, end: End, id: u64) {
    let fate = match end {
        End::Done => Fate::Done { id: Some(id) },
        End::NotDone => Fate::NotDone,
        End::Missing => Fate::Missing,
        End::Unknown => Fate::Unknown,
        End::Killed => {
            let lease = Duration::from_millis(1);
            return mem::forget(store.begin_for(write, lease).await);
        }
    };
    store.write(write, fate).await;
}

async fn said_of_user(store: &Opened, address: &str) -> Said {
    said(store.user(address).await.map(|user| user.is_confirmed))
}

async fn said_of_group(store: &Opened, name: &str) -> Said {
    let groups = store.groups(None).await;
    let group = groups.iter().find(|(_, of_group, _)| of_group == name);
    said(group.map(|(_, _, is_confirmed)| *is_confirmed))
}

async fn said_of_member(store: &Opened, gid: u64) -> Said {
    let members = store.members(gid).await;
    said(members.first().map(|(_, _, is_confirmed)| *is_confirmed))
}

fn said(is_confirmed: Option<bool>) -> Said {
    match is_confirmed {
        None => Absent,
        Some(false) => Uncertain,
        Some(true) => Confirmed,
    }
}

fn create_user(address: &str) -> Write {
    Write::CreateUser {
        address: address.into(),
        name: None,
        active: None,
    }
}

fn named(name: &str) -> GroupChange {
    GroupChange {
        name: Some(name.into()),
        ..GroupChange::default()
    }
}

/// Users are looked up, and confirmed or gone afterwards, whatever Mesibo says of them.
async fn users(store: &Opened) {
    let edit: Make = |uid| Write::EditUser {
        uid,
        flags: Some(1),
        active: None,
    };
    let delete: Make = |uid| Write::DeleteUser { uid };
    let token: Make = |uid| Write::UserToken {
        uid,
        may_delete: false,
    };
    let create: Make = |uid| create_user(&format!("user-{uid}"));
    let cases: [(Make, bool, Expected); 4] = [
        (
            create,
            false,
            [Confirmed, Absent, Uncertain, Uncertain, Uncertain],
        ),
        (
            edit,
            true,
            [Confirmed, Confirmed, Uncertain, Uncertain, Uncertain],
        ),
        (
            delete,
            true,
            [Absent, Confirmed, Uncertain, Uncertain, Uncertain],
        ),
        // It changes nothing that is kept, so that no intent is written.
        (
            token,
            true,
            [Confirmed, Confirmed, Uncertain, Confirmed, Confirmed],
        ),
    ];
    let mut uncertain = Vec::new();
    let mut uid = 0;
    for (make, exists, expected) in cases {
        for looked_up in [Confirmed, Absent] {
            for (end, expected) in ENDS.into_iter().zip(expected) {
                uid += 1;
                let address = format!("user-{uid}");
                if exists {
                    write(store, create_user(&address), End::Done, uid).await;
                }
                let this = make(uid);
                write(store, this.clone(), end, uid).await;
                let said = said_of_user(store, &address).await;
                assert_eq!(said, expected, "{this:?} {end:?}");
                if said == Uncertain {
                    let finding = match looked_up {
                        Confirmed => found(uid),
                        _ => Finding::Absent,
                    };
                    uncertain.push((address, finding, looked_up));
                }
            }
        }
    }
    let findings = uncertain.iter();
    let findings: Vec<_> = findings
        .map(|(address, finding, _)| (&**address, *finding))
        .collect();
    for _ in &findings {
        store.resolve(&findings).await;
    }
    for (address, _, looked_up) in &uncertain {
        assert_eq!(said_of_user(store, address).await, *looked_up, "{address}");
    }
}

/// Groups and members cannot be looked up: what is uncertain stays listed.
async fn groups(store: &Opened) {
    let group: Look =
        |store, gid| Box::pin(async move { said_of_group(store, &format!("group-{gid}")).await });
    let member: Look = |store, gid| Box::pin(said_of_member(store, gid));
    let create = |gid: u64| Write::CreateGroup {
        group: named(&format!("group-{gid}")),
        members: Vec::new(),
    };
    let edit = |gid| Write::EditGroup {
        gid,
        group: named(&format!("group-{gid}")),
    };
    let delete = |gid| Write::DeleteGroup { gid };
    let add = |gid| Write::AddMembers {
        gid,
        members: vec!["alice".into()],
        permissions: Permissions::default(),
    };
    let remove = |gid| Write::RemoveMembers {
        gid,
        members: vec!["alice".into()],
    };
    let cases: [GroupCase; 5] = [
        (
            &[],
            create,
            group,
            [Confirmed, Absent, Absent, Uncertain, Uncertain],
        ),
        (
            &[create],
            edit,
            group,
            [Confirmed, Confirmed, Uncertain, Uncertain, Uncertain],
        ),
        (
            &[create],
            delete,
            group,
            [Absent, Confirmed, Absent, Uncertain, Uncertain],
        ),
        (
            &[create],
            add,
            member,
            [Confirmed, Absent, Absent, Uncertain, Uncertain],
        ),
        (
            &[create, add],
            remove,
            member,
            [Absent, Confirmed, Confirmed, Uncertain, Uncertain],
        ),
    ];
    let mut gid = 1_000;
    let mut uncertain = 0;
    for (before, make, say, expected) in cases {
        for (end, expected) in ENDS.into_iter().zip(expected) {
            gid += 1;
            for before in before {
                write(store, before(gid), End::Done, gid).await;
            }
            let this = make(gid);
            write(store, this.clone(), end, gid).await;
            assert_eq!(say(store, gid).await, expected, "{this:?} {end:?}");
            uncertain += u64::from(expected == Uncertain);
        }
    }
    // The leases of those that were killed have passed.
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(store.uncertain().await, uncertain);
}

async fn all(store: &Opened) {
    users(store).await;
    groups(store).await;
    store.store.close().await;
}

#[tokio::test]
async fn sqlite_says_what_is_known_after_every_write_and_outcome() {
    let folder = TempDir::new().unwrap();
    let config = sqlite_config(&folder.path().join("ids.db"));
    all(&opened(&config).await).await;
}

#[tokio::test]
async fn postgres_says_what_is_known_after_every_write_and_outcome() {
    if let Some(server) = Server::start() {
        let config = server.database("outcomes").await;
        all(&opened(&config).await).await;
    }
}
