//! HTTP/2, with a server that plays every frame.

mod ends;
mod flow;
mod shared;
mod truth;

use mesibo::{
    Client, Error, Failure, Operation,
    operation::{Message, Recipient},
    reply,
};

use crate::support::later;

/// What a request is answered with that was carried out.
const DONE: &str = r#"{"result": true}"#;

/// A write that may not be repeated.
fn message(text: &str) -> Operation<reply::Sent> {
    Operation::message(&Message {
        from: "alice",
        recipient: Recipient::To("bob"),
        kind: None,
        expiry_seconds: None,
        msg: text,
    })
}

/// Makes a write that may not be repeated.
async fn write(client: &Client, text: &str) -> Result<reply::Sent, Error> {
    client.call(message(text), later()).await
}

/// Makes a read.
async fn read(client: &Client) -> Result<reply::Users, Error> {
    client.call(Operation::users_get(None, None), later()).await
}

/// Asserts that a call was lost with its connection, after it was sent.
#[track_caller]
fn assert_lost(error: &Error) {
    assert!(
        matches!(error.failure(), Failure::ConnectionLost),
        "{error:?}"
    );
}
