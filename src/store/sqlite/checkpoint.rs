//! Moves what commits have written to the log into the file, beside the commits.
//!
//! SQLite does so within the commit that makes the log a thousand pages long, and all calls
//! wait meanwhile: of commits of 32 claims and 32 outcomes, one in a hundred took 30 ms, and
//! takes 6 to 10 ms so.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::spawn_blocking, time::sleep};

use super::{Sqlite, link::Link};

/// For how long commits gather: a page that many of them have changed is moved once. A call
/// with an id takes a fifth more processor time at 100 ms. What is left at the end of the log
/// is moved within a commit, so that it must not be much.
const EVERY: Duration = Duration::from_secs(1);

/// Works for as long as it is polled, after commits alone.
pub(in crate::store) fn checkpoints(of: &Sqlite) -> impl Future<Output = ()> + use<> {
    work(
        Link::new(of.writer.file(), Duration::ZERO),
        Arc::clone(&of.written),
    )
}

async fn work(link: Link, written: Arc<Notify>) {
    loop {
        written.notified().await;
        sleep(EVERY).await;
        let link = link.clone();
        // It takes as long as the disk does.
        let _ = spawn_blocking(move || checkpoint(&link)).await;
    }
}

/// Waits for nobody: what is in use by a reader is moved the next time.
fn checkpoint(link: &Link) {
    let done = link.with(|connection| connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)"));
    if let Err(error) = done {
        // A commit does it, once the log is long.
        tracing::debug!(%error, "the log of the store was not moved into its file");
    }
}
