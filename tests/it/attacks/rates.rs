//! Rates count what a call does, and only calls that may be made.

use std::time::Duration;

use mesibo_grpc::proto::{
    CreateGroupRequest, EditGroupMembersRequest, edit_group_members_request::Action,
    group_service_client::GroupServiceClient,
};
use tokio::time::sleep;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::callers::{caller, send};
use crate::{
    access::{ADMIN, Fixture},
    support::{Answer, EVERYTHING, facade::Bearer, telling, told},
};

const MALLORY: &str = "mgk_s3ntinel_mallory";
const BOB: &str = "mgk_s3ntinel_bob";

/// Addresses of so many receivers.
fn receivers(count: usize) -> String {
    let addresses: Vec<_> = (0..count).map(|i| format!("user{i}")).collect();
    addresses.join(",")
}

fn members(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("user{i}")).collect()
}

async fn edit(channel: &Channel, key: &'static str, count: usize) -> Result<(), Status> {
    let request = EditGroupMembersRequest {
        gid: 9,
        members: members(count),
        action: Action::Add.into(),
        permissions: None,
    };
    let mut groups = GroupServiceClient::with_interceptor(channel.clone(), Bearer(key));
    groups.edit_group_members(request).await.map(drop)
}

async fn create(channel: &Channel, key: &'static str, count: usize) -> Result<(), Status> {
    let request = CreateGroupRequest {
        members: members(count),
        ..Default::default()
    };
    let mut groups = GroupServiceClient::with_interceptor(channel.clone(), Bearer(key));
    groups.create_group(request).await.map(drop)
}

/// Asserts that a call counts more than the rate ever admits, so that no time helps.
fn assert_above_burst(status: &Status, limit: &str, burst: &str) {
    let expected = [("limit", limit), ("burst", burst)];
    let code = Code::ResourceExhausted;
    assert_eq!(
        told(status),
        telling(code, "mesibo-grpc", "RATE_LIMITED", &expected)
    );
    assert!(status.get_details_retry_info().is_none(), "{status:?}");
    let text = format!("at most {burst} at once");
    assert!(status.message().contains(&text), "{status:?}");
}

/// After how long a call that a rate did not admit may be made again.
fn wait_of(status: &Status) -> Duration {
    assert_eq!(told(status).2, "RATE_LIMITED", "{status:?}");
    status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap()
}

#[tokio::test]
async fn a_call_to_hundreds_counts_as_hundreds() {
    let mallory = caller("mallory", MALLORY, "rate = 0.001\nburst = 10");
    let of_app = "rate = 0.001\nburst = 10\n";
    for (tables, key, limit) in [(&*mallory, MALLORY, "caller"), (of_app, ADMIN, "app")] {
        let fixture = Fixture::with(Answer::ok(EVERYTHING), tables, &[]);
        let channel = &fixture.facade.channel;
        // More than ever, whatever the list is.
        let sent = send(channel, key, "shop", receivers(800)).await;
        assert_above_burst(&sent.unwrap_err(), limit, "10");
        let edited = edit(channel, key, 11).await;
        assert_above_burst(&edited.unwrap_err(), limit, "10");
        let created = create(channel, key, 11).await;
        assert_above_burst(&created.unwrap_err(), limit, "10");
        assert!(fixture.shop.requests().is_empty());
    }
    for (tables, key) in [(&*mallory, MALLORY), (of_app, ADMIN)] {
        let fixture = Fixture::with(Answer::ok(EVERYTHING), tables, &[]);
        let channel = &fixture.facade.channel;
        // As many as there are, together.
        send(channel, key, "shop", receivers(4)).await.unwrap();
        edit(channel, key, 3).await.unwrap();
        create(channel, key, 3).await.unwrap();
        for refused in [
            send(channel, key, "shop", "bob").await,
            edit(channel, key, 1).await,
            create(channel, key, 0).await,
        ] {
            assert!(wait_of(&refused.unwrap_err()) > Duration::from_mins(1));
        }
        assert_eq!(fixture.shop.requests().len(), 3);
    }
}

#[tokio::test]
async fn after_the_time_that_a_refusal_gives_the_same_call_is_admitted() {
    let mallory = caller("mallory", MALLORY, "rate = 4\nburst = 4");
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &mallory, &[]);
    let channel = &fixture.facade.channel;
    let to_three = async || send(channel, MALLORY, "shop", receivers(3)).await;
    to_three().await.unwrap();
    // One unit is left, which lets the message be read, and then it is too little.
    let wait = wait_of(&to_three().await.unwrap_err());
    assert!(wait < Duration::from_secs(2), "{wait:?}");
    sleep(wait).await;
    to_three().await.unwrap();
    // None is left. How much the message takes is not known before it is read.
    let mut refusals = 0;
    while let Err(status) = to_three().await {
        refusals += 1;
        sleep(wait_of(&status)).await;
    }
    assert!(refusals <= 2, "{refusals}");
}

#[tokio::test]
async fn calls_that_may_not_be_made_use_up_no_rate_of_the_app() {
    let mallory = caller("mallory", MALLORY, "from-addresses = [\"mallory\"]");
    let slow = caller("slow", "mgk_s3ntinel_slow", "rate = 0.001\nburst = 1");
    let bob = caller("bob", BOB, "");
    let tables = format!("rate = 0.001\nburst = 3\n{mallory}{slow}{bob}");
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &tables, &[]);
    let channel = &fixture.facade.channel;
    for _ in 0..5 {
        // Neither what is not allowed, nor what breaks a rule.
        let denied = send(channel, MALLORY, "shop", "bob").await.unwrap_err();
        assert_eq!(told(&denied).2, "SENDER_NOT_ALLOWED");
        let wrong = send(channel, MALLORY, "mallory", "bob,bob").await;
        assert_eq!(told(&wrong.unwrap_err()).2, "INVALID_REQUEST");
    }
    // Nor what the rate of its caller does not admit.
    send(channel, "mgk_s3ntinel_slow", "shop", "bob")
        .await
        .unwrap();
    for _ in 0..5 {
        let limited = send(channel, "mgk_s3ntinel_slow", "shop", "bob").await;
        assert_eq!(told(&limited.unwrap_err()).3["limit"], "caller");
    }
    for _ in 0..2 {
        send(channel, BOB, "shop", "bob").await.unwrap();
    }
    let limited = send(channel, BOB, "shop", "bob").await.unwrap_err();
    assert_eq!(told(&limited).3["limit"], "app");
}
