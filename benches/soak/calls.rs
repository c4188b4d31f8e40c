//! The calls: what each asks of the backend, and what its answer must be.

use mesibo_grpc::proto::{
    ListUsersRequest, SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient, user_service_client::UserServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::process::KEY;

/// What a call is, and what the backend does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A message, which is sent.
    Message,
    /// A message with a `request_id`.
    Once,
    /// A read.
    List,
    /// A message that the backend takes its time for.
    Slow,
    /// A message that Mesibo says no to.
    Refused,
    /// A message that is answered with 503.
    Unavailable,
    /// A message that is answered with something that is no reply.
    Garbage,
    /// A message whose connection is closed before the answer.
    Cut,
    /// A message that is never answered.
    Silent,
}

/// Of as many calls; the others are messages.
const SHARES_OF: u64 = 10_000;

const SHARES: [(Kind, u64); 8] = [
    (Kind::List, 500),
    (Kind::Once, 100),
    (Kind::Slow, 100),
    (Kind::Refused, 100),
    (Kind::Unavailable, 50),
    (Kind::Garbage, 50),
    (Kind::Cut, 20),
    // Each lasts for the whole deadline.
    (Kind::Silent, 2),
];

impl Kind {
    /// The kind of a call by its number. Calls of a kind are apart, so that no ten calls in
    /// a row get no answer.
    pub fn of(number: u64) -> Self {
        let mut place = number.wrapping_mul(7919) % SHARES_OF;
        for (kind, share) in SHARES {
            if place < share {
                return kind;
            }
            place -= share;
        }
        Self::Message
    }

    /// By what the backend knows it, in the text of the message.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Once => "once",
            Self::List => "list",
            Self::Slow => "slow",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Garbage => "garbage",
            Self::Cut => "cut",
            Self::Silent => "silent",
        }
    }

    /// The kind of a message by its text.
    pub fn of_text(text: &str) -> Self {
        let word = text.split(' ').next().unwrap_or_default();
        let mut kinds = SHARES.iter().map(|(kind, _)| *kind);
        kinds
            .find(|kind| kind.word() == word)
            .unwrap_or(Self::Message)
    }

    /// The only answer that explains itself: a code and a reason.
    fn expected(self) -> (Code, &'static str) {
        match self {
            Self::Message | Self::Once | Self::List | Self::Slow => (Code::Ok, ""),
            Self::Refused => (Code::NotFound, "NOUSER"),
            Self::Unavailable => (Code::Unavailable, "UPSTREAM_HTTP_STATUS"),
            Self::Garbage => (Code::Internal, "MALFORMED_REPLY"),
            // A message is fenced off from every retry.
            Self::Cut => (Code::Unknown, "CONNECTION_LOST"),
            Self::Silent => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        }
    }

    /// Makes a call.
    ///
    /// # Errors
    ///
    /// What the answer was, if it is not the only one that explains itself.
    pub async fn call(self, channel: Channel, number: u64) -> Result<(), String> {
        let answer = if self == Self::List {
            let mut users = UserServiceClient::new(channel);
            let request = request(ListUsersRequest::default());
            users.list_users(request).await.err()
        } else {
            let mut messages = MessageServiceClient::new(channel);
            let request = request(SendMessageRequest {
                from_address: "alice".into(),
                recipient: Some(Recipient::ToAddress("bob".into())),
                message: format!("{} {number:0100}", self.word()),
                request_id: (self == Self::Once).then(|| id(number)),
                ..Default::default()
            });
            messages.send_message(request).await.err()
        };
        let answer = answer.unwrap_or_else(|| Status::ok(""));
        let details = answer.get_error_details();
        let reason = details.error_info().map_or("", |info| &info.reason);
        if (answer.code(), reason) == self.expected() {
            Ok(())
        } else {
            Err(format!("{self:?}: {answer:?}"))
        }
    }
}

/// A request without a deadline: with one, the client may give up before it is answered.
fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let key: MetadataValue<Ascii> = format!("Bearer {KEY}").parse().expect("it is ASCII");
    request.metadata_mut().insert("authorization", key);
    request
}

/// A UUID that no other call of this run has.
fn id(number: u64) -> String {
    Uuid::from_u64_pair(fastrand::u64(..), number + 1).to_string()
}
