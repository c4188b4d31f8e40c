//! `MessageService`: messages to users and groups.

use mesibo::{
    Operation,
    operation::{self, Message, op},
    reply,
};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{
    once::Once,
    split,
    streams::{self, Answers, Outcome, StreamLimits, Streamed},
    validation::{Checks, MAX_ENTRIES, Rules, recipients_of},
};
use crate::{
    call::{Asked, Context},
    proto::{
        SendMessageRequest, SendMessageResponse, SendMessagesRequest, SendMessagesResponse,
        message_service_server::MessageService, send_message_request::Recipient,
        send_messages_response::Result as ItemResult,
    },
    status::Rule,
};

/// The implementation of `MessageService`.
#[derive(Clone)]
pub struct Messages {
    once: Once,
    limits: StreamLimits,
}

/// A message that may be sent.
pub(super) struct Admitted {
    call: Context,
    operation: Operation<reply::Sent>,
    request_id: Option<Uuid>,
}

impl Messages {
    /// The service, which calls Mesibo by `once`, and whose streams have these limits.
    #[must_use]
    pub fn new(once: Once, limits: StreamLimits) -> Self {
        Self { once, limits }
    }
}

#[tonic::async_trait]
impl MessageService for Messages {
    type SendMessagesStream = Answers<SendMessagesResponse>;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let (call, request) = split(request);
        let admitted = Self::admit(call, request).await?;
        self.carry_out(admitted).await
    }

    async fn send_messages(
        &self,
        request: Request<Streaming<SendMessagesRequest>>,
    ) -> Result<Response<Self::SendMessagesStream>, Status> {
        Ok(streams::answer(self, self.limits, request))
    }
}

impl Streamed for Messages {
    type Request = SendMessageRequest;
    type Admitted = Admitted;
    type Response = SendMessageResponse;
    type Item = SendMessagesRequest;
    type Answer = SendMessagesResponse;

    async fn admit(call: Context, request: SendMessageRequest) -> Result<Admitted, Status> {
        let receivers = match &request.recipient {
            Some(Recipient::ToAddress(addresses)) => recipients_of(addresses).min(MAX_ENTRIES),
            _ => 1,
        };
        let asked = Asked::to_send(&request.from_address).for_each_of(receivers);
        let mut rules = Rules::new(call, op::MESSAGE, &asked).await?;
        let (expiry_seconds, request_id) = check(&mut rules, &request);
        let call = rules.check().await?;
        let recipient = match &request.recipient {
            Some(Recipient::ToAddress(addresses)) => operation::Recipient::To(addresses),
            Some(Recipient::Gid(gid)) => operation::Recipient::Group(*gid),
            // Never sent, for a rule is broken.
            None => operation::Recipient::To(""),
        };
        let operation = Operation::message(&Message {
            from: &request.from_address,
            recipient,
            kind: request.message_type,
            expiry_seconds,
            msg: &request.message,
        });
        Ok(Admitted {
            call,
            operation,
            request_id,
        })
    }

    async fn carry_out(&self, admitted: Admitted) -> Result<Response<SendMessageResponse>, Status> {
        let Admitted {
            call,
            operation,
            request_id,
        } = admitted;
        self.once
            .call(request_id, &call, operation, None, |sent| {
                SendMessageResponse {
                    message_id: sent.mid,
                }
            })
            .await
    }

    fn open(item: SendMessagesRequest) -> (String, SendMessageRequest) {
        // One that is missing breaks the rules of all fields.
        (item.key, item.request.unwrap_or_default())
    }

    fn answer(key: String, outcome: Outcome<SendMessageResponse>) -> SendMessagesResponse {
        let result = outcome.result;
        let result = result.map_or_else(ItemResult::Status, ItemResult::Response);
        SendMessagesResponse {
            key,
            result: Some(result),
            replayed: outcome.replayed,
        }
    }
}

/// The rules of a message that it breaks, by field, without those that are about its caller.
#[must_use]
pub fn problems(request: &SendMessageRequest) -> Vec<(String, String)> {
    let mut checks = Checks::default();
    check(&mut checks, request);
    checks.problems()
}

/// Checks the rules of a message, and gives its expiry in seconds and its id.
fn check(rules: &mut Checks, request: &SendMessageRequest) -> (Option<u64>, Option<Uuid>) {
    rules.address("from_address", &request.from_address);
    match &request.recipient {
        Some(Recipient::ToAddress(addresses)) => rules.recipients("to_address", addresses),
        Some(Recipient::Gid(gid)) => rules.id("gid", *gid),
        None => {
            let allowed = "must be to_address or gid";
            rules.require(false, Rule::Required, "recipient", allowed);
        }
    }
    let expiry_seconds = rules.seconds("expiry", request.expiry);
    rules.message(&request.message);
    let request_id = rules.request_id(request.request_id.as_deref());
    (expiry_seconds, request_id)
}
