//! What is particular to SQLite.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, poll};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::{
    join,
    time::{sleep, timeout},
};

use super::{
    Claimed, Config, LONG, Observed, REQUEST, Store as _, directory, done, engine::over, key, open,
    opened, replayed, sqlite_config, won,
};
use crate::store::{
    Error, NoObserver, OpenError,
    directory::{Backend as _, Fate, Step},
    migrate,
    sqlite::{self, Sqlite},
};

/// Where a database's header has the version that is needed for writing; 3 is one that no
/// version of SQLite writes. <https://sqlite.org/fileformat2.html#file_format_version_numbers>
const WRITE_VERSION: u64 = 18;

fn raw(file: &Path, sql: &str) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

async fn refusal(file: &Path) -> OpenError {
    let observer = Arc::new(NoObserver);
    open(&sqlite_config(file), observer).await.err().unwrap()
}

#[tokio::test]
async fn a_start_waits_for_a_file_that_another_process_has_locked() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let config = Config {
        timeout: Duration::from_secs(1),
        ..sqlite_config(&file)
    };
    migrate(&config).await.unwrap();
    let other = raw(&file, "BEGIN IMMEDIATE");
    let opening = open(&config, Arc::new(NoObserver));
    let release = async {
        sleep(2 * config.timeout).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (opened, ()) = join!(opening, release);
    opened.unwrap().close().await;
}

async fn set(database: &Sqlite, pragma: &'static str) -> i64 {
    let value = database.with(|connection| connection.query_row(pragma, [], |row| row.get(0)));
    value.await.unwrap()
}

#[tokio::test]
async fn every_commit_is_on_the_disk_before_it_counts() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let database = sqlite::open(&file, &sqlite_config(&file)).await.unwrap();
    // FULL.
    assert_eq!(set(&database, "PRAGMA synchronous").await, 2);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// What writes a row of the directory, and what then fails.
fn steps(app: &str, fails: bool) -> Vec<Step> {
    let turn = Step {
        before: &[],
        sql: "INSERT INTO directory_turns (app, next_at) SELECT value, 0 FROM json_each(?)",
        rows: format!("[\"{app}\"]"),
    };
    let failing = Step {
        before: &[],
        sql: "INSERT INTO directory_turns (app) SELECT value FROM json_each(?)",
        rows: "[\"x\"]".into(),
    };
    [turn].into_iter().chain(fails.then_some(failing)).collect()
}

#[tokio::test]
async fn steps_are_carried_out_all_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let database = sqlite::open(&file, &sqlite_config(&file)).await.unwrap();
    let directory = sqlite::Directory::new(database);
    assert!(directory.run(&steps("failed", true)).await.is_err());
    directory.run(&steps("first", false)).await.unwrap();
    let other = raw(&file, "BEGIN IMMEDIATE");
    // It waits, and its caller goes away.
    assert!(poll!(pin!(directory.run(&steps("gone", false)))).is_pending());
    other.execute_batch("COMMIT").unwrap();
    directory.run(&steps("last", false)).await.unwrap();
    let mut apps = other.prepare("SELECT app FROM directory_turns").unwrap();
    let apps = apps.query_map([], |row| row.get(0)).unwrap();
    assert_eq!(
        apps.collect::<rusqlite::Result<Vec<String>>>().unwrap(),
        ["first", "last"]
    );
}

#[tokio::test]
async fn reads_find_a_created_user_whose_call_did_not_wait_for_its_record() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let opened = directory::opened(&sqlite_config(&file)).await;
    let user = opened.begin(directory::create("k1")).await;
    let group = opened.begin(directory::group("g")).await;
    let other = raw(&file, "BEGIN IMMEDIATE");

    let done = |id| Fate::Done { id: Some(id) };
    user.settle(done(7)).now_or_never().unwrap();
    // Nobody can ask Mesibo for a group.
    let mut group = group.settle(done(8));
    let mut read = pin!(opened.user("k1"));
    let brief = Duration::from_millis(50);
    assert!(timeout(brief, &mut group).await.is_err());
    assert!(timeout(brief, &mut read).await.is_err());

    other.execute_batch("COMMIT").unwrap();
    let found = read.await.unwrap();
    assert_eq!((found.uid, found.is_confirmed), (Some(7), true));
    group.await;
}

#[tokio::test]
async fn a_full_disk_refuses_claims_and_what_was_under_way_is_settled_later() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let database = sqlite::open(&file, &sqlite_config(&file)).await.unwrap();
    let observed = Arc::new(Observed::default());
    let store = over(database.clone(), LONG, Arc::clone(&observed) as _);
    assert!(won(&store, 1).await.settle(done(b"before")).await);
    let under_way = won(&store, 2).await;

    // SQLite fails at this number of pages as it does on a full disk: SQLITE_FULL.
    set(&database, "PRAGMA max_page_count = 1").await;
    let mut claimed = Vec::new();
    let refused = loop {
        let id = 10 + claimed.len() as u128;
        match store.claim(key(id), REQUEST, LONG).await {
            Ok(claim) => claimed.push(claim),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    let answer = vec![7; 50_000];
    let failures = observed
        .wait_for(|counts| counts.failures > 0)
        .await
        .failures;
    let settling = under_way.settle(done(&answer));
    // The settlement at least twice.
    observed
        .wait_for(|counts| counts.failures > failures + 1)
        .await;

    set(&database, "PRAGMA max_page_count = 100000").await;
    assert!(settling.await);
    assert_eq!(replayed(&store, 2).await, done(&answer));
    drop(won(&store, 10 + claimed.len() as u128).await);
}

#[tokio::test]
async fn a_read_only_file_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    raw(&file, "VACUUM");
    let header = fs::OpenOptions::new().write(true).open(&file).unwrap();
    header.write_all_at(&[3], WRITE_VERSION).unwrap();
    let error = refusal(&file).await;
    assert_eq!(error, OpenError::ReadOnly);
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    migrate(&sqlite_config(&file)).await.unwrap();
    let newer = "INSERT INTO mesibo_grpc_migrations
        SELECT 99, 'of the future', installed_on, success, checksum, execution_time
        FROM mesibo_grpc_migrations WHERE version = 1";
    raw(&file, newer);
    let error = refusal(&file).await;
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_or_in_no_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("letter.txt");
    fs::write(&file, "Dear friend, ".repeat(1_000)).unwrap();
    let error = refusal(&file).await;
    assert!(error.to_string().contains("not a database"), "{error}");
    let error = refusal(&folder.path().join("none/ids.db")).await;
    assert!(matches!(error, OpenError::Denied(_)), "{error}");
}

#[tokio::test]
async fn a_migration_that_was_done_is_not_done_again_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    for number in 0..20 {
        let config = sqlite_config(&folder.path().join(number.to_string()));
        let (one, other) = join!(migrate(&config), migrate(&config));
        assert_eq!((one, other), (Ok(()), Ok(())));
    }
    let config = sqlite_config(&folder.path().join("ids.db"));
    let store = opened(&config).await;
    assert!(won(&*store, 1).await.settle(done(b"kept")).await);
    store.close().await;
    migrate(&config).await.unwrap();
    assert_eq!(replayed(&*opened(&config).await, 1).await, done(b"kept"));
}

#[tokio::test]
async fn a_store_that_was_closed_answers_unavailable_and_has_written_all() {
    let folder = TempDir::new().unwrap();
    let config = sqlite_config(&folder.path().join("ids.db"));
    let store = opened(&config).await;
    let ticket = won(&*store, 1).await;
    let late = won(&*store, 2).await;
    let settling = ticket.settle(done(b"last"));
    store.close().await;
    assert!(settling.await);
    let claimed = store.claim(key(3), REQUEST, LONG).await;
    assert!(
        matches!(claimed, Err(Error::Unavailable { .. })),
        "{claimed:?}"
    );
    assert!(!late.settle(done(b"after")).await);
    let again = opened(&config).await;
    assert_eq!(replayed(&*again, 1).await, done(b"last"));
    let under_way = again.claim(key(2), REQUEST, LONG).await.unwrap();
    assert!(matches!(under_way, Claimed::UnderWay { .. }));
}
