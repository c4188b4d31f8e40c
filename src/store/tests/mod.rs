//! The same tests for every store, and those of each database.

mod directory;
mod directory_model;
mod directory_outcomes;
mod directory_pages;
mod engine;
mod model;
mod postgres;
mod power_loss;
mod replicas;
mod server;
mod sqlite;
mod suite;

use std::{path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use self::server::Server;
use super::{
    Backlog, Claimed, Config, Event, Fingerprint, Key, Location, NoObserver, Observer, Outcome,
    SendPermit, Store, Ticket, Waited, open,
};

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);

const REQUEST: Fingerprint = [7; 32];

/// Counts what a store reports.
#[derive(Debug, Default)]
struct Observed(watch::Sender<Counts>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    sweeps: usize,
    swept_rows: u64,
    failures: usize,
}

impl Observer for Observed {
    fn observe(&self, event: Event) {
        self.0.send_modify(|counts| match event {
            Event::Swept { rows } => {
                counts.sweeps += 1;
                counts.swept_rows += rows;
            }
            Event::Failed => counts.failures += 1,
            _ => {}
        });
    }
}

impl Observed {
    async fn wait_for(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        *self.0.subscribe().wait_for(condition).await.unwrap()
    }
}

fn key(id: u128) -> Key {
    Key {
        app: "shop".into(),
        caller: "orders \"&\" 'co'".into(),
        rpc: "mesibo.v1.MessageService/SendMessage",
        id: Uuid::from_u128(id),
    }
}

fn done(answer: &[u8]) -> Outcome {
    Outcome::Done(answer.to_vec().into())
}

fn unknown(answer: &[u8]) -> Outcome {
    Outcome::Unknown(answer.to_vec().into())
}

async fn won(store: &dyn Store, id: u128) -> Ticket {
    match store.claim(key(id), REQUEST, LONG).await {
        Ok(Claimed::Won(ticket)) => ticket,
        other => panic!("{id}: {other:?}"),
    }
}

async fn replayed(store: &dyn Store, id: u128) -> Outcome {
    match store.claim(key(id), REQUEST, LONG).await {
        Ok(Claimed::Settled { request, outcome }) => {
            assert_eq!(request, REQUEST);
            outcome
        }
        other => panic!("{id}: {other:?}"),
    }
}

fn sqlite_config(file: &Path) -> Config {
    Config::new(Location::Sqlite(file.to_owned()))
}

async fn opened(config: &Config) -> Arc<dyn Store> {
    open(config, Arc::new(NoObserver)).await.unwrap()
}

async fn all_suites(store: &dyn Store) {
    suite::an_id_is_won_once_and_its_outcome_is_replayed(store).await;
    suite::an_answer_comes_back_byte_by_byte(store).await;
    suite::a_released_id_is_free_again(store).await;
    suite::an_id_belongs_to_its_app_its_caller_and_its_rpc(store).await;
    suite::the_first_requests_fingerprint_is_reported(store).await;
    suite::a_lease_that_passes_makes_the_outcome_unknown_for_good(store).await;
    suite::a_settlement_after_the_lease_holds_if_nobody_asked_before(store).await;
    suite::a_call_that_waits_gets_the_outcome(store).await;
    suite::a_call_that_waits_learns_of_a_release(store).await;
    suite::a_call_waits_no_longer_than_it_wants_to(store).await;
    suite::a_call_that_waits_is_woken_when_the_lease_passes(store).await;
    suite::a_dropped_ticket_is_released_unless_something_was_sent(store).await;
    suite::nothing_may_be_sent_after_the_lease_or_the_settlement(store).await;
    suite::a_claim_that_is_given_up_leaves_its_id_free(store).await;
    suite::of_many_claims_at_once_each_id_is_won_by_one(store).await;
}

#[tokio::test]
async fn memory_keeps_every_promise() {
    all_suites(&*opened(&Config::new(Location::Memory)).await).await;
}

#[tokio::test]
async fn sqlite_keeps_every_promise() {
    let folder = TempDir::new().unwrap();
    let store = opened(&sqlite_config(&folder.path().join("ids.db"))).await;
    all_suites(&*store).await;
    store.close().await;
}

#[tokio::test]
async fn postgres_keeps_every_promise() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = opened(&server.database("ids").await).await;
    all_suites(&*store).await;
    store.close().await;
}
