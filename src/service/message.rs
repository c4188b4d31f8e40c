//! `MessageService`: messages to users and groups.

use tonic::{Request, Response, Status};

use super::{Metrics, once::Once, open, validation::Rules};
use crate::{
    mesibo::operation::{self, Message, Operation, op},
    proto::{
        SendMessageRequest, SendMessageResponse, message_service_server::MessageService,
        send_message_request::Recipient,
    },
    status::ErrorCodes,
};

/// The implementation of `MessageService`.
pub struct Messages {
    codes: ErrorCodes,
    sent: Once<SendMessageResponse>,
}

impl Messages {
    /// A service. What Mesibo's error codes mean is for `codes` to say; what it
    /// answers again it counts among `metrics`.
    #[must_use]
    pub fn new(codes: ErrorCodes, metrics: Metrics) -> Self {
        Self {
            codes,
            sent: Once::new(metrics),
        }
    }
}

#[tonic::async_trait]
impl MessageService for Messages {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let (call, request) = open(&self.codes, request);
        let mut rules = Rules::new(op::MESSAGE);
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
                rules.require(false, "recipient", "must be to_address or gid");
                // Never sent, for the rule is broken.
                operation::Recipient::To("")
            }
        };
        let expiry_seconds = rules.seconds("expiry", request.expiry);
        rules.message(&request.message);
        let request_id = rules.request_id(request.request_id.as_deref());
        rules.check()?;
        call.may_send_from(&request.from_address)?;

        let operation = Operation::message(&Message {
            from: &request.from_address,
            recipient,
            kind: request.message_type,
            expiry_seconds,
            msg: &request.message,
        });
        self.sent
            .call(request_id, call, operation, |sent| SendMessageResponse {
                message_id: sent.mid,
            })
            .await
    }
}
