//! What holds for every store.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use tokio::{join, time::Instant};

use super::{Claimed, LONG, REQUEST, SendPermit, Store, Waited, done, key, replayed, unknown, won};
use crate::store::Key;

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);

pub(super) async fn an_id_is_won_once_and_its_outcome_is_replayed(store: &dyn Store) {
    for (id, outcome) in [(100, done(b"answer")), (101, unknown(b"why"))] {
        let ticket = won(store, id).await;
        let again = store.claim(key(id), REQUEST, LONG).await.unwrap();
        assert!(matches!(again, Claimed::UnderWay { request: REQUEST }));
        assert!(ticket.permit().begin());
        assert!(ticket.settle(outcome.clone()).await);
        assert_eq!(replayed(store, id).await, outcome);
        assert_eq!(replayed(store, id).await, outcome);
    }
}

pub(super) async fn an_answer_comes_back_byte_by_byte(store: &dyn Store) {
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    for (id, answer) in [(110, &bytes[..]), (111, &[])] {
        assert!(won(store, id).await.settle(done(answer)).await);
        assert_eq!(replayed(store, id).await, done(answer));
    }
}

pub(super) async fn a_released_id_is_free_again(store: &dyn Store) {
    assert!(won(store, 120).await.release().await);
    assert!(won(store, 120).await.settle(done(b"second")).await);
    assert_eq!(replayed(store, 120).await, done(b"second"));
}

pub(super) async fn an_id_belongs_to_its_app_its_caller_and_its_rpc(store: &dyn Store) {
    assert!(won(store, 130).await.settle(done(b"first")).await);
    let others = [
        Key {
            app: "support".into(),
            ..key(130)
        },
        Key {
            caller: "billing".into(),
            ..key(130)
        },
        Key {
            rpc: "mesibo.v1.GroupService/CreateGroup",
            ..key(130)
        },
    ];
    for other in others {
        let claimed = store.claim(other, [8; 32], LONG).await.unwrap();
        assert!(matches!(claimed, Claimed::Won(_)), "{claimed:?}");
    }
}

pub(super) async fn the_first_requests_fingerprint_is_reported(store: &dyn Store) {
    let ticket = won(store, 140).await;
    let other = store.claim(key(140), [8; 32], LONG).await.unwrap();
    assert!(matches!(other, Claimed::UnderWay { request: REQUEST }));
    assert!(ticket.settle(done(b"")).await);
    let other = store.claim(key(140), [8; 32], LONG).await.unwrap();
    assert!(matches!(
        other,
        Claimed::Settled {
            request: REQUEST,
            ..
        }
    ));
}

pub(super) async fn a_lease_that_passes_makes_the_outcome_unknown_for_good(store: &dyn Store) {
    let Claimed::Won(ticket) = store.claim(key(150), REQUEST, SHORT).await.unwrap() else {
        panic!("it was taken");
    };
    assert!(ticket.permit().begin());
    let waited = store.wait(&key(150), Instant::now() + LONG).await.unwrap();
    let expected = Waited::Settled {
        request: REQUEST,
        outcome: unknown(b""),
    };
    assert_eq!(waited, expected);
    assert!(!ticket.settle(done(b"too late")).await);
    assert_eq!(replayed(store, 150).await, unknown(b""));
}

pub(super) async fn a_settlement_after_the_lease_holds_if_nobody_asked_before(store: &dyn Store) {
    let lease = Duration::from_nanos(1);
    let Claimed::Won(ticket) = store.claim(key(160), REQUEST, lease).await.unwrap() else {
        panic!("it was taken");
    };
    assert!(!ticket.is_current());
    assert!(ticket.settle(done(b"late")).await);
    assert_eq!(replayed(store, 160).await, done(b"late"));
}

pub(super) async fn a_call_that_waits_gets_the_outcome(store: &dyn Store) {
    let ticket = won(store, 170).await;
    let here = key(170);
    let (waited, is_written) = join!(
        store.wait(&here, Instant::now() + LONG),
        ticket.settle(done(b"answer")),
    );
    assert!(is_written);
    let expected = Waited::Settled {
        request: REQUEST,
        outcome: done(b"answer"),
    };
    assert_eq!(waited.unwrap(), expected);
}

pub(super) async fn a_call_that_waits_learns_of_a_release(store: &dyn Store) {
    let ticket = won(store, 180).await;
    let here = key(180);
    let (waited, is_written) = join!(store.wait(&here, Instant::now() + LONG), ticket.release());
    assert!(is_written);
    assert_eq!(waited.unwrap(), Waited::Released);
}

pub(super) async fn a_call_waits_no_longer_than_it_wants_to(store: &dyn Store) {
    let _ticket = won(store, 190).await;
    let waited = store.wait(&key(190), Instant::now() + SHORT).await;
    assert_eq!(waited.unwrap(), Waited::StillUnderWay);
}

pub(super) async fn a_call_that_waits_is_woken_when_the_lease_passes(store: &dyn Store) {
    let claimed = store.claim(key(200), REQUEST, SHORT).await.unwrap();
    let start = Instant::now();
    let waited = store.wait(&key(200), start + LONG).await.unwrap();
    assert!(matches!(waited, Waited::Settled { .. }), "{waited:?}");
    assert!(start.elapsed() < LONG / 2);
    drop(claimed);
}

pub(super) async fn a_dropped_ticket_is_released_unless_something_was_sent(store: &dyn Store) {
    drop(won(store, 210).await);
    let waited = store.wait(&key(210), Instant::now() + LONG).await.unwrap();
    assert_eq!(waited, Waited::Released);

    let ticket = won(store, 211).await;
    assert!(ticket.permit().begin());
    drop(ticket);
    let waited = store.wait(&key(211), Instant::now() + LONG).await.unwrap();
    assert!(matches!(waited, Waited::Settled { .. }), "{waited:?}");
    assert_eq!(replayed(store, 211).await, unknown(b""));
}

pub(super) async fn nothing_may_be_sent_after_the_lease_or_the_settlement(store: &dyn Store) {
    let lease = Duration::from_nanos(1);
    let Claimed::Won(late) = store.claim(key(220), REQUEST, lease).await.unwrap() else {
        panic!("it was taken");
    };
    assert!(!late.permit().begin());
    assert!(late.deadline() <= Instant::now());

    let ended = |end: fn(super::Ticket) -> bool| async move {
        let ticket = won(store, 221).await;
        let permit: SendPermit = ticket.permit();
        assert!(permit.begin() && permit.begin());
        assert!(end(ticket));
        permit.begin()
    };
    let released = ended(|ticket| {
        drop(ticket.release());
        true
    });
    assert!(!released.await);
    let waited = store.wait(&key(221), Instant::now() + LONG).await.unwrap();
    assert_eq!(waited, Waited::Released);
    let settled = ended(|ticket| {
        drop(ticket.settle(done(b"")));
        true
    });
    assert!(!settled.await);
}

pub(super) async fn a_claim_that_is_given_up_leaves_its_id_free(store: &dyn Store) {
    for _ in 0..20 {
        let claim = store.claim(key(230), REQUEST, LONG);
        // Polled once at least.
        let given_up = tokio::time::timeout(Duration::ZERO, claim).await;
        drop(given_up);
        let ticket = loop {
            match store.claim(key(230), REQUEST, LONG).await.unwrap() {
                Claimed::Won(ticket) => break ticket,
                Claimed::UnderWay { .. } => {
                    let waited = store.wait(&key(230), Instant::now() + LONG).await;
                    assert_eq!(waited.unwrap(), Waited::Released);
                }
                settled @ Claimed::Settled { .. } => panic!("{settled:?}"),
            }
        };
        assert!(ticket.release().await);
    }
}

pub(super) async fn of_many_claims_at_once_each_id_is_won_by_one(store: &dyn Store) {
    let ids = (10_000..10_300).chain(10_000..10_300).chain(10_000..10_300);
    let claims = ids.map(|id| async move { (id, store.claim(key(id), REQUEST, LONG).await) });
    let mut winners = HashMap::new();
    let mut tickets = Vec::new();
    for (id, claimed) in join_all(claims).await {
        if let Claimed::Won(ticket) = claimed.unwrap() {
            *winners.entry(id).or_insert(0) += 1;
            tickets.push(ticket);
        }
    }
    assert_eq!(winners.len(), 300);
    assert!(winners.values().all(|&wins| wins == 1));
    let settled = tickets.into_iter().map(|ticket| ticket.settle(done(b"x")));
    assert!(join_all(settled).await.into_iter().all(|written| written));
}
