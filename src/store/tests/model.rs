//! Random claims, settlements and leases against a model of a few lines.

use std::{collections::HashMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    Backlog, Claimed, Config, Fingerprint, LONG, Location, Outcome, Server, Store, Ticket, done,
    key, opened, sqlite_config, unknown,
};

#[derive(Clone, Debug)]
enum Step {
    Claim { id: u8, request: u8, is_short: bool },
    Done { id: u8, answer: u8 },
    Unknown { id: u8, answer: u8 },
    Release { id: u8 },
    Drop { id: u8, has_begun: bool },
}

/// What the store should have for an id.
enum Row {
    UnderWay { request: u8, is_expired: bool },
    Settled { request: u8, outcome: Outcome },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..4_u8;
    let step = prop_oneof![
        4 => (id.clone(), 0..2_u8, prop::bool::weighted(0.2))
            .prop_map(|(id, request, is_short)| Step::Claim { id, request, is_short }),
        2 => (id.clone(), any::<u8>()).prop_map(|(id, answer)| Step::Done { id, answer }),
        1 => (id.clone(), any::<u8>()).prop_map(|(id, answer)| Step::Unknown { id, answer }),
        2 => id.clone().prop_map(|id| Step::Release { id }),
        1 => (id, any::<bool>()).prop_map(|(id, has_begun)| Step::Drop { id, has_begun }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Plays the steps on ids that no other case has.
async fn play(store: &dyn Store, base: u128, steps: Vec<Step>) {
    let mut model: HashMap<u8, Row> = HashMap::new();
    let mut tickets: HashMap<u8, Ticket> = HashMap::new();
    for step in steps {
        match step {
            Step::Claim {
                id,
                request,
                is_short,
            } => {
                let lease = if is_short {
                    Duration::from_nanos(1)
                } else {
                    LONG
                };
                let here = key(base + u128::from(id));
                let claimed = store
                    .claim(here, fingerprint(request), lease)
                    .await
                    .unwrap();
                if let Some(ticket) = expect(&mut model, id, request, is_short, claimed) {
                    tickets.insert(id, ticket);
                }
            }
            Step::Done { id, answer } => {
                end(&mut model, &mut tickets, id, Some(done(&[answer]))).await;
            }
            Step::Unknown { id, answer } => {
                end(&mut model, &mut tickets, id, Some(unknown(&[answer]))).await;
            }
            Step::Release { id } => end(&mut model, &mut tickets, id, None).await,
            Step::Drop { id, has_begun } => {
                let Some(ticket) = tickets.remove(&id) else {
                    continue;
                };
                let has_begun = has_begun && ticket.permit().begin();
                drop(ticket);
                while store.backlog() != Backlog::default() {
                    tokio::task::yield_now().await;
                }
                settle(&mut model, id, has_begun.then(|| unknown(b"")));
            }
        }
    }
}

/// Holds the answer to a claim against the model, and brings that up to date.
fn expect(
    model: &mut HashMap<u8, Row>,
    id: u8,
    request: u8,
    is_short: bool,
    claimed: Claimed,
) -> Option<Ticket> {
    if let Some(Row::UnderWay {
        request,
        is_expired: true,
    }) = model.get(&id)
    {
        let row = Row::Settled {
            request: *request,
            outcome: unknown(b""),
        };
        model.insert(id, row);
    }
    match (model.get(&id), claimed) {
        (None, Claimed::Won(ticket)) => {
            let row = Row::UnderWay {
                request,
                is_expired: is_short,
            };
            model.insert(id, row);
            Some(ticket)
        }
        (Some(Row::UnderWay { request: first, .. }), Claimed::UnderWay { request }) => {
            assert_eq!(request, fingerprint(*first));
            None
        }
        (
            Some(Row::Settled {
                request: first,
                outcome: expected,
            }),
            Claimed::Settled { request, outcome },
        ) => {
            assert_eq!((request, &outcome), (fingerprint(*first), expected));
            None
        }
        (_, claimed) => panic!("{id}: {claimed:?}"),
    }
}

async fn end(
    model: &mut HashMap<u8, Row>,
    tickets: &mut HashMap<u8, Ticket>,
    id: u8,
    outcome: Option<Outcome>,
) {
    let Some(ticket) = tickets.remove(&id) else {
        return;
    };
    let settling = match outcome.clone() {
        Some(outcome) => ticket.settle(outcome),
        None => ticket.release(),
    };
    let is_expected = settle(model, id, outcome);
    assert_eq!(settling.await, is_expected);
}

/// Whether a settlement should be in force afterwards.
fn settle(model: &mut HashMap<u8, Row>, id: u8, outcome: Option<Outcome>) -> bool {
    match (model.get(&id), outcome) {
        (Some(Row::UnderWay { request, .. }), Some(outcome)) => {
            let request = *request;
            model.insert(id, Row::Settled { request, outcome });
            true
        }
        (Some(Row::UnderWay { .. }), None) => {
            model.remove(&id);
            true
        }
        _ => false,
    }
}

fn fingerprint(request: u8) -> Fingerprint {
    [request; 32]
}

fn check(runtime: &Runtime, config: &Config, cases: u32) {
    let store = runtime.block_on(opened(config));
    let base = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Cases {
        cases,
        failure_persistence: None,
        ..Cases::default()
    });
    let played = runner.run(&steps(), |steps| {
        base.set(base.get() + 100);
        runtime.block_on(play(&*store, base.get(), steps));
        Ok(())
    });
    played.unwrap();
    runtime.block_on(store.close());
}

#[test]
fn every_store_behaves_like_the_model() {
    let runtime = Runtime::new().unwrap();
    check(&runtime, &Config::new(Location::Memory), 256);
    let folder = TempDir::new().unwrap();
    check(&runtime, &sqlite_config(&folder.path().join("ids.db")), 64);
    let Some(server) = Server::start() else {
        return;
    };
    let config = runtime.block_on(server.database("model"));
    check(&runtime, &config, 64);
}
