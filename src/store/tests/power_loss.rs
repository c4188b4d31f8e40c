//! A file as it was at some moment has every claim whose call had begun by then.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Claimed, LONG, REQUEST, Store, done, key, opened, sqlite_config, won};

/// Makes calls, and notes each as begun right before it would be sent.
async fn make_calls(
    store: Arc<dyn Store>,
    next: Arc<AtomicU64>,
    begun: mpsc::UnboundedSender<u128>,
    is_over: Arc<AtomicBool>,
) {
    while !is_over.load(Ordering::Relaxed) {
        let id = u128::from(next.fetch_add(1, Ordering::Relaxed));
        let ticket = won(&*store, id).await;
        assert!(ticket.permit().begin());
        begun.send(id).unwrap();
        drop(ticket.settle(done(b"answer")));
    }
}

/// Copies the file and its log. A reader keeps the log from being started anew between
/// the two; what a checkpoint has moved is in the log all the same.
fn copy(file: &Path, to: &Path) {
    let log = |file: &Path| file.with_extension("db-wal");
    let reader = Connection::open(file).unwrap();
    let begin = "BEGIN; SELECT count(*) FROM claims";
    reader.execute_batch(begin).unwrap();
    fs::copy(file, to).unwrap();
    fs::copy(log(file), log(to)).unwrap();
    reader.execute_batch("COMMIT").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_any_moment_has_every_claim_whose_call_had_begun() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ids.db");
    let store = opened(&sqlite_config(&file)).await;
    let (begun, mut noted) = mpsc::unbounded_channel();
    let (next, is_over) = (Arc::default(), Arc::default());
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let (next, is_over) = (Arc::clone(&next), Arc::clone(&is_over));
            tokio::spawn(make_calls(Arc::clone(&store), next, begun.clone(), is_over))
        })
        .collect();

    let mut copies = Vec::new();
    let mut begun = Vec::new();
    for n in 1..=10 {
        while begun.len() < n * 400 {
            begun.push(noted.recv().await.unwrap());
        }
        let to = folder.path().join(format!("{n}.db"));
        copy(&file, &to);
        copies.push((to, begun.clone()));
    }
    is_over.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.unwrap();
    }
    store.close().await;

    for (file, begun) in copies {
        let store = opened(&sqlite_config(&file)).await;
        let claims = begun.iter().map(|&id| store.claim(key(id), REQUEST, LONG));
        for claimed in futures_util::future::join_all(claims).await {
            assert!(
                !matches!(claimed.unwrap(), Claimed::Won(_)),
                "{}",
                file.display()
            );
        }
    }
}
