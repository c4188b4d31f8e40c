//! `MessageService`: messages to users and groups.

use mesibo::{
    Operation,
    operation::{self, Message, op},
};
use tonic::{Request, Response, Status};

use super::{
    once::Once,
    split,
    validation::{MAX_ENTRIES, Rules, recipients_of},
};
use crate::{
    call::Asked,
    proto::{
        SendMessageRequest, SendMessageResponse, message_service_server::MessageService,
        send_message_request::Recipient,
    },
    status::Rule,
};

/// The implementation of `MessageService`.
pub struct Messages {
    once: Once,
}

impl Messages {
    /// The service, which calls Mesibo by `once`.
    #[must_use]
    pub fn new(once: Once) -> Self {
        Self { once }
    }
}

#[tonic::async_trait]
impl MessageService for Messages {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let (call, request) = split(request);
        let receivers = match &request.recipient {
            Some(Recipient::ToAddress(addresses)) => recipients_of(addresses).min(MAX_ENTRIES),
            _ => 1,
        };
        let asked = Asked::to_send(&request.from_address).for_each_of(receivers);
        let mut rules = Rules::new(call, op::MESSAGE, &asked)?;
        rules.address("from_address", &request.from_address);
        let recipient = match &request.recipient {
            Some(Recipient::ToAddress(addresses)) => {
                rules.recipients("to_address", addresses);
                operation::Recipient::To(addresses)
            }
            Some(Recipient::Gid(gid)) => {
                rules.id("gid", *gid);
                operation::Recipient::Group(*gid)
            }
            None => {
                let allowed = "must be to_address or gid";
                rules.require(false, Rule::Required, "recipient", allowed);
                // Never sent, for the rule is broken.
                operation::Recipient::To("")
            }
        };
        let expiry_seconds = rules.seconds("expiry", request.expiry);
        rules.message(&request.message);
        let request_id = rules.request_id(request.request_id.as_deref());
        let call = rules.check()?;

        let operation = Operation::message(&Message {
            from: &request.from_address,
            recipient,
            kind: request.message_type,
            expiry_seconds,
            msg: &request.message,
        });
        self.once
            .call(request_id, &call, operation, |sent| SendMessageResponse {
                message_id: sent.mid,
            })
            .await
    }
}
