//! Pages of a large directory: each full and in order, and the last as fast as the first.
//!
//! `DIRECTORY_USERS` sets how many users there are. A tenth of it is the number of groups,
//! of 20 members each.

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{
    directory::{APP, Opened, opened},
    sqlite_config,
};
use crate::store::directory::{GroupAfter, GroupQuery, MemberQuery, UserKey, UserQuery};

/// Users, unless the environment says otherwise: they are there within seconds without
/// optimisation, too.
const USERS: u64 = 50_000;

/// Users for each group.
const USERS_A_GROUP: u64 = 10;

/// Members of each group.
const MEMBERS: u64 = 20;

/// Each such user is disabled.
const DISABLED: u64 = 100;

/// Entries of a page, and the one above that tells that there is another page.
const PAGE: u32 = 101;

/// How often each page is read.
const ROUNDS: usize = 101;

/// The most that a page may take beside the first.
const BAR: f64 = 1.5;

/// Measurements before the test fails: a disturbance passes, a slow page stays slow.
const TRIES: usize = 3;

/// Fills the tables. `?1` is the app, `?2` the number of rows.
const FILL: [&str; 3] = [
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
    INSERT INTO directory_users
        (app, uid, address, name, active, flags, state, check_at, created, changed)
    SELECT ?1, i + 1, printf('user-%08d', i), 'User ' || i, i % 100 <> 0, 0, 0, 0, 0, 0 FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
    INSERT INTO directory_groups
        (app, gid, name, active, flags, state, check_at, created, changed)
    SELECT ?1, i + 1, printf('group-%08d', i), 1, 0, 0, 0, 0, 0 FROM n",
    // Member k of a group is the user k * groups + group, or the next: see `member`.
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2),
        m(g, k) AS (SELECT i / 20, i % 20 FROM n)
    INSERT INTO directory_members
        (app, gid, address, known, granted, state, check_at, created, changed)
    SELECT ?1, g + 1,
        printf('user-%08d', (k * (?2 / 20) + g + k / 10) % (?2 / 2)), 31, 31, 0, 0, 0, 0
    FROM m",
];

/// What is read, from which of its entries on.
#[derive(Clone, Copy, Debug)]
enum Read {
    Users { active: Option<bool> },
    Groups,
    Members,
    GroupsOfMember,
    UserByAddress,
    UserByUid,
}

const READS: [Read; 8] = [
    Read::Users { active: None },
    Read::Users { active: Some(true) },
    Read::Users {
        active: Some(false),
    },
    Read::Groups,
    Read::Members,
    Read::GroupsOfMember,
    Read::UserByAddress,
    Read::UserByUid,
];

/// A directory with so many users.
struct Large {
    store: Opened,
    users: u64,
}

fn address(user: u64) -> String {
    format!("user-{user:08}")
}

fn name(group: u64) -> String {
    format!("group-{group:08}")
}

impl Read {
    /// The user that is the n-th of a search.
    fn user(self, n: u64) -> u64 {
        match self {
            Self::Users { active: Some(true) } => {
                let enabled = DISABLED - 1;
                n / enabled * DISABLED + n % enabled + 1
            }
            Self::Users {
                active: Some(false),
            } => n * DISABLED,
            _ => n,
        }
    }
}

impl Large {
    async fn fill(file: &Path, users: u64) -> Self {
        let store = opened(&sqlite_config(file)).await;
        let connection = Connection::open(file).unwrap();
        // What a crash would leave of it does not matter.
        let settings = "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144";
        connection.execute_batch(settings).unwrap();
        let groups = users / USERS_A_GROUP;
        let rows = [users, groups, groups * MEMBERS];
        for (sql, rows) in FILL.into_iter().zip(rows) {
            let rows = rows.cast_signed();
            connection.execute(sql, params![APP, rows]).unwrap();
        }
        Self { store, users }
    }

    fn groups(&self) -> u64 {
        self.users / USERS_A_GROUP
    }

    /// How many entries there are from which a page can begin.
    fn begins(&self, read: Read) -> u64 {
        let page = u64::from(PAGE);
        match read {
            Read::Users { active: None } => self.users - page,
            Read::Users { active: Some(true) } => self.users - self.users / DISABLED - page,
            Read::Users {
                active: Some(false),
            } => self.users / DISABLED - page,
            Read::Groups => self.groups() - page,
            Read::Members => self.groups() - 1,
            Read::GroupsOfMember | Read::UserByAddress | Read::UserByUid => self.users - 1,
        }
    }

    /// What a page that begins with entry `n` should have.
    fn expected(&self, read: Read, n: u64) -> Vec<String> {
        let page = || n..n + u64::from(PAGE);
        match read {
            Read::Users { .. } => page().map(|n| address(read.user(n))).collect(),
            Read::Groups => page().map(name).collect(),
            Read::Members => {
                let user = |k| (k * self.groups() + n + k / USERS_A_GROUP) % self.users;
                let mut members: Vec<_> = (0..MEMBERS).map(|k| address(user(k))).collect();
                members.sort_unstable();
                members
            }
            Read::GroupsOfMember => {
                let before = (n + self.users - 1) % self.users;
                let mut groups = [n, before].map(|user| name(user % self.groups()));
                groups.sort_unstable();
                groups.into()
            }
            Read::UserByAddress | Read::UserByUid => vec![address(n)],
        }
    }

    async fn read(&self, read: Read, n: u64) -> Vec<String> {
        let directory = &self.store.directory;
        let last = n.checked_sub(1);
        match read {
            Read::Users { active } => {
                let query = UserQuery {
                    prefix: "user-",
                    active,
                    after: &last.map_or(String::new(), |last| address(read.user(last))),
                    limit: PAGE,
                };
                let users = directory.users(APP, query).await.unwrap();
                users.into_iter().filter_map(|user| user.address).collect()
            }
            Read::Groups => {
                let name = last.map(name);
                let after = name.as_deref().map(|name| GroupAfter {
                    name,
                    // The rows were numbered from 1 on, as the gids were.
                    id: n.cast_signed(),
                    gid: n,
                });
                self.groups_after(None, after).await
            }
            Read::GroupsOfMember => self.groups_after(Some(&address(n)), None).await,
            Read::Members => {
                let query = MemberQuery {
                    gid: n + 1,
                    after: "",
                    limit: PAGE,
                };
                let members = directory.members(APP, query).await.unwrap();
                members.into_iter().map(|member| member.address).collect()
            }
            Read::UserByAddress => {
                let address = address(n);
                let user = directory.user(APP, UserKey::Address(&address)).await;
                user.unwrap()
                    .and_then(|user| user.address)
                    .into_iter()
                    .collect()
            }
            Read::UserByUid => {
                let user = directory.user(APP, UserKey::Uid(n + 1)).await;
                user.unwrap()
                    .and_then(|user| user.address)
                    .into_iter()
                    .collect()
            }
        }
    }

    async fn groups_after(
        &self,
        member: Option<&str>,
        after: Option<GroupAfter<'_>>,
    ) -> Vec<String> {
        let query = GroupQuery {
            prefix: "group-",
            member,
            after,
            limit: PAGE,
        };
        let groups = self.store.directory.groups(APP, query).await.unwrap();
        groups.into_iter().map(|group| group.name).collect()
    }

    /// The median times of the pages that begin with these entries, read in turn.
    async fn times(&self, read: Read, begins: [u64; 3]) -> [Duration; 3] {
        let mut times = begins.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (begin, times) in begins.iter().zip(&mut times) {
                let start = Instant::now();
                let page = self.read(read, *begin).await;
                times.push(start.elapsed());
                assert!(!page.is_empty());
            }
        }
        times.map(|mut times| {
            times.sort_unstable();
            times[ROUNDS / 2]
        })
    }

    async fn check(&self, read: Read) {
        let last = self.begins(read);
        let begins = [0, last / 2, last];
        for begin in begins {
            let expected = self.expected(read, begin);
            assert_eq!(self.read(read, begin).await, expected, "{read:?} {begin}");
        }
        for attempt in 1.. {
            let [first, others @ ..] = self.times(read, begins).await;
            let beside = others.map(|time| time.div_duration_f64(first));
            eprintln!(
                "{read:?}: {first:.0?} at the beginning, {:.2} of it in the middle, {:.2} at {}",
                beside[0], beside[1], last
            );
            if beside.iter().all(|&beside| beside <= BAR) {
                break;
            }
            assert!(
                attempt < TRIES,
                "{read:?} takes {beside:.2?} of the first page"
            );
        }
    }
}

#[tokio::test]
async fn each_page_of_a_large_directory_is_full_and_in_order_and_the_last_takes_what_the_first_does()
 {
    let users = env::var("DIRECTORY_USERS").map_or(USERS, |users| users.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let start = Instant::now();
    let large = Large::fill(&folder.path().join("ids.db"), users).await;
    eprintln!("{users} users were there after {:.1?}", start.elapsed());
    for read in READS {
        large.check(read).await;
    }
    large.store.store.close().await;
}
