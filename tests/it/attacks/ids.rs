//! A caller's request ids take no place from those of others.

use mesibo_grpc::proto::{
    SendMessageRequest, SendMessageResponse, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use tonic::{Response, transport::Channel};

use super::callers::caller;
use crate::{
    access::Fixture,
    support::{
        Answer, EVERYTHING,
        facade::{Bearer, soon},
    },
};

const MALLORY: &str = "mgk_s3ntinel_mallory";
const BOB: &str = "mgk_s3ntinel_bob";

async fn send(channel: &Channel, key: &'static str, id: u64) -> Response<SendMessageResponse> {
    let message = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: "hi".into(),
        request_id: Some(format!("00000000-0000-4000-8000-{id:012}")),
        ..Default::default()
    };
    let mut messages = MessageServiceClient::with_interceptor(channel.clone(), Bearer(key));
    soon(messages.send_message(message)).await.unwrap()
}

#[tokio::test]
async fn a_caller_with_many_ids_pushes_out_its_own_and_no_others() {
    let tables = [caller("mallory", MALLORY, ""), caller("bob", BOB, "")].concat();
    let settings = [("request-ids-per-caller", "10")];
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &tables, &settings);
    let channel = &fixture.facade.channel;
    let is_replayed = async |key, id| {
        let sent = send(channel, key, id).await;
        sent.metadata().contains_key("request-replayed")
    };
    assert!(!is_replayed(BOB, 1).await);
    for id in 1..=30 {
        assert!(!is_replayed(MALLORY, id).await);
    }
    assert!(is_replayed(BOB, 1).await);
    assert!(is_replayed(MALLORY, 30).await);
    assert!(!is_replayed(MALLORY, 1).await);
    assert_eq!(fixture.shop.requests().len(), 32);
}
