//! Callers with keys, as the attacks have them.

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        SendMessageRequest, message_service_client::MessageServiceClient,
        send_message_request::Recipient,
    },
};
use tonic::{Status, transport::Channel};

use crate::support::facade::Bearer;

/// The table of a caller who may call everything, with this in addition.
pub fn caller(name: &str, key: &str, table: &str) -> String {
    let hash = KeyHash::of(key.as_bytes());
    format!("[callers.{name}]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n{table}\n")
}

/// Sends a message, with the key of a caller.
pub async fn send(
    channel: &Channel,
    key: &'static str,
    from: &str,
    to: impl Into<String>,
) -> Result<(), Status> {
    let request = SendMessageRequest {
        from_address: from.into(),
        recipient: Some(Recipient::ToAddress(to.into())),
        message: "Hello".into(),
        ..Default::default()
    };
    let mut messages = MessageServiceClient::with_interceptor(channel.clone(), Bearer(key));
    messages.send_message(request).await.map(drop)
}
