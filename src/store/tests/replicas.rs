//! Several processes over one database: each has a store of its own.

use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sqlx::{Executor as _, postgres::PgListener};
use tempfile::TempDir;
use tokio::{join, time::Instant};

use super::{
    Claimed, Config, LONG, Observed, REQUEST, Server, Store, Waited, done, key, open, opened,
    replayed, sqlite_config, unknown, won,
};
use crate::store::{
    postgres::{self, CHANNEL, SWEEP_LOCK},
    signals::Signals,
};

async fn a_thousand_ids_are_each_won_once(config: &Config) {
    let (one, other) = join!(opened(config), opened(config));
    let claims = |store: Arc<dyn Store>| async move {
        let claims = (0..1_000).map(|id| store.claim(key(id), REQUEST, LONG));
        let mut won = HashSet::new();
        for (id, claimed) in join_all(claims).await.into_iter().enumerate() {
            if let Claimed::Won(ticket) = claimed.unwrap() {
                assert!(ticket.permit().begin());
                drop(ticket.settle(done(b"answer")));
                won.insert(id);
            }
        }
        won
    };
    let (one_won, other_won) = join!(
        tokio::spawn(claims(Arc::clone(&one))),
        tokio::spawn(claims(Arc::clone(&other)))
    );
    let (one_won, other_won) = (one_won.unwrap(), other_won.unwrap());
    assert!(one_won.is_disjoint(&other_won));
    assert_eq!(one_won.len() + other_won.len(), 1_000);
    join!(one.close(), other.close());

    let later = opened(config).await;
    let replays = (0..1_000).map(|id| replayed(&*later, id));
    assert!(
        join_all(replays)
            .await
            .iter()
            .all(|outcome| *outcome == done(b"answer"))
    );
}

async fn what_a_dead_process_had_claimed_is_unknown_after_the_lease(config: &Config) {
    let (dead, alive) = join!(opened(config), opened(config));
    let lease = Duration::from_millis(300);
    let claimed = dead.claim(key(2_000), REQUEST, lease).await.unwrap();
    // Neither settled nor dropped.
    std::mem::forget(claimed);
    std::mem::forget(dead);
    let again = alive.claim(key(2_000), REQUEST, LONG).await.unwrap();
    assert!(matches!(again, Claimed::UnderWay { .. }), "{again:?}");
    let waited = alive
        .wait(&key(2_000), Instant::now() + LONG)
        .await
        .unwrap();
    let expected = Waited::Settled {
        request: REQUEST,
        outcome: unknown(b""),
    };
    assert_eq!(waited, expected);
    assert_eq!(replayed(&*alive, 2_000).await, unknown(b""));
}

async fn the_outcome_of_another_process_is_waited_for(config: &Config) {
    let (owner, other) = join!(opened(config), opened(config));
    let ticket = won(&*owner, 3_000).await;
    let here = key(3_000);
    let (waited, ()) = join!(other.wait(&here, Instant::now() + LONG), async {
        assert!(ticket.settle(done(b"theirs")).await);
    });
    let expected = Waited::Settled {
        request: REQUEST,
        outcome: done(b"theirs"),
    };
    assert_eq!(waited.unwrap(), expected);
}

async fn old_rows_are_swept_and_younger_ones_stay(config: &Config) {
    let first = opened(config).await;
    let claims = (5_000..7_500).map(async |id| won(&*first, id).await.settle(done(b"old")).await);
    assert!(join_all(claims).await.into_iter().all(|written| written));
    first.close().await;

    let observed = Arc::new(Observed::default());
    let config = Config {
        retention: Duration::from_millis(1),
        ..config.clone()
    };
    let sweeping = open(&config, Arc::clone(&observed) as _).await.unwrap();
    let under_way = won(&*sweeping, 8_000).await;
    observed.wait_for(|counts| counts.swept_rows >= 2_500).await;
    // Under way, however old: not swept.
    assert!(under_way.settle(done(b"young")).await);
    drop(won(&*sweeping, 5_000).await);
}

#[tokio::test]
async fn processes_share_a_file() {
    let folder = TempDir::new().unwrap();
    let config = |name| sqlite_config(&folder.path().join(name));
    a_thousand_ids_are_each_won_once(&config("race")).await;
    what_a_dead_process_had_claimed_is_unknown_after_the_lease(&config("dead")).await;
    the_outcome_of_another_process_is_waited_for(&config("wait")).await;
    old_rows_are_swept_and_younger_ones_stay(&config("sweep")).await;
}

#[tokio::test]
async fn processes_share_a_server() {
    let Some(server) = Server::start() else {
        return;
    };
    a_thousand_ids_are_each_won_once(&server.database("race").await).await;
    what_a_dead_process_had_claimed_is_unknown_after_the_lease(&server.database("dead").await)
        .await;
    the_outcome_of_another_process_is_waited_for(&server.database("wait").await).await;
    old_rows_are_swept_and_younger_ones_stay(&server.database("sweep").await).await;
}

#[tokio::test]
async fn only_who_has_the_turn_sweeps() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("turn").await;
    let store = opened(&config).await;
    assert!(won(&*store, 1).await.settle(done(b"old")).await);
    store.close().await;

    let mut holder = server.connect("turn").await;
    let lock = format!("SELECT pg_advisory_lock({SWEEP_LOCK})");
    holder
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock)))
        .await
        .unwrap();
    let observed = Arc::new(Observed::default());
    let config = Config {
        retention: Duration::from_millis(1),
        ..config
    };
    let store = open(&config, Arc::clone(&observed) as _).await.unwrap();
    let counts = observed.wait_for(|counts| counts.sweeps > 0).await;
    assert_eq!(counts.swept_rows, 0);
    assert_eq!(replayed(&*store, 1).await, done(b"old"));
}

#[tokio::test]
async fn an_outcome_is_notified_of_if_another_process_waits_for_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("notified").await;
    let (owner, other) = join!(opened(&config), opened(&config));
    let pool = server.pool("notified");
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen(CHANNEL).await.unwrap();

    assert!(won(&*owner, 1).await.settle(done(b"nobody waits")).await);
    for (id, outcome) in [(2, Some(done(b"somebody waits"))), (3, None)] {
        let ticket = won(&*owner, id).await;
        let claimed = other.claim(key(id), REQUEST, LONG).await.unwrap();
        assert!(matches!(claimed, Claimed::UnderWay { .. }), "{claimed:?}");
        let settling = match outcome {
            Some(outcome) => ticket.settle(outcome),
            None => ticket.release(),
        };
        assert!(settling.await);
        let notification = listener.recv().await.unwrap();
        assert_eq!(notification.payload(), key(id).id.to_string());
    }
}

#[tokio::test]
async fn a_notification_wakes_those_who_wait_for_its_id() {
    let Some(server) = Server::start() else {
        return;
    };
    let signals = Arc::new(Signals::default());
    let waiting = signals.subscribe(key(1).id);
    let other = signals.subscribe(key(2).id);
    let (mut woken, mut never) = (
        pin!(waiting.signal.notified()),
        pin!(other.signal.notified()),
    );
    assert!(!never.as_mut().enable());
    let listening = postgres::listen(server.pool("postgres"), Arc::clone(&signals), LONG);
    let listening = tokio::spawn(listening);
    let notify = format!("NOTIFY {CHANNEL}, '{}'", key(1).id);
    let mut sender = server.connect("postgres").await;
    // Until it listens.
    while tokio::time::timeout(Duration::from_millis(20), woken.as_mut())
        .await
        .is_err()
    {
        let notify = sqlx::AssertSqlSafe(notify.clone());
        sender.execute(sqlx::raw_sql(notify)).await.unwrap();
    }
    assert!(!never.as_mut().enable());
    listening.abort();
}
