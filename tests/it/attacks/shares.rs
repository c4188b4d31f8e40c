//! A caller has a share of the operations in flight, and leaves the rest to others.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::callers::{caller, send};
use crate::{
    access::Fixture,
    support::{Answer, Backend, EVERYTHING, facade::soon, telling, told},
};

const MALLORY: &str = "mgk_s3ntinel_mallory";
const BOB: &str = "mgk_s3ntinel_bob";

/// A facade whose app has room for this, in front of a backend that never answers what
/// mallory sends.
fn fixture(of_app: &str, of_mallory: &str) -> Fixture {
    let shop = Backend::scripted(|request| match request.get("from") {
        Some("mallory") => Answer::Hang,
        _ => Answer::ok(EVERYTHING),
    });
    let mallory = caller("mallory", MALLORY, of_mallory);
    let bob = caller("bob", BOB, "");
    let url = shop.url();
    Fixture::at(&url, shop, &format!("{of_app}\n{mallory}{bob}"), &[])
}

#[tokio::test]
async fn a_caller_whose_calls_hang_leaves_room_for_others() {
    for (of_app, of_mallory, share) in [
        // Half, if nothing else is said.
        ("upstream-max-in-flight = 6", "", 3),
        ("upstream-max-in-flight = 6", "max-in-flight = 5", 5),
    ] {
        let fixture = fixture(of_app, of_mallory);
        let channel = &fixture.facade.channel;
        let mut hanging = JoinSet::new();
        for sent in 1..=share {
            let channel = channel.clone();
            hanging.spawn(async move { send(&channel, MALLORY, "mallory", "bob").await });
            soon(fixture.shop.got(sent)).await;
        }
        for _ in 0..10 {
            let status = send(channel, MALLORY, "mallory", "bob").await.unwrap_err();
            let expected = [("limit", "caller")];
            let code = Code::ResourceExhausted;
            assert_eq!(
                told(&status),
                telling(code, "mesibo-grpc", "TOO_MANY_IN_FLIGHT", &expected)
            );
            assert!(status.get_details_retry_info().is_some());
        }
        for _ in 0..10 {
            soon(send(channel, BOB, "bob", "alice")).await.unwrap();
        }
        assert_eq!(fixture.shop.requests().len(), share + 10);
    }
}

#[tokio::test]
async fn a_write_that_goes_on_without_its_caller_keeps_its_place() {
    let fixture = fixture("upstream-max-in-flight = 6", "max-in-flight = 1");
    let channel = &fixture.facade.channel;
    let mut gone = JoinSet::new();
    let first = channel.clone();
    gone.spawn(async move { send(&first, MALLORY, "mallory", "bob").await });
    soon(fixture.shop.got(1)).await;
    gone.shutdown().await;
    let turned_away = async {
        loop {
            let status = send(channel, MALLORY, "mallory", "bob").await.unwrap_err();
            assert_eq!(told(&status).2, "TOO_MANY_IN_FLIGHT");
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = fixture.shop.hung_up(1) => {}
        () = turned_away => {}
    }
    assert_eq!(fixture.shop.requests().len(), 1);
    // Its outcome is known to be unknown, and its place is free.
    let again = channel.clone();
    gone.spawn(async move {
        loop {
            let _ = send(&again, MALLORY, "mallory", "bob").await;
        }
    });
    soon(fixture.shop.got(2)).await;
}
