//! Files of messages.

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::{
    kind::{Answers, Kind, Values},
    rows::{Column, Mistake},
};
use crate::{
    proto::{
        ItemStatus, SendMessageRequest, SendMessagesRequest, SendMessagesResponse,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        send_messages_response::Result as ItemResult,
    },
    service,
    status::ServerChannel,
};

/// Messages, which `MessageService.SendMessages` sends.
pub struct Messages;

impl Kind for Messages {
    const COLUMNS: &'static [Column] = &[
        Column::required("from_address"),
        Column::required("message"),
        Column::optional("to_address"),
        Column::optional("gid"),
        Column::optional("message_type"),
        Column::optional("expiry"),
        Column::optional("request_id"),
    ];
    const RESULTS: &'static [&'static str] = &["message_id"];
    const ONCE: bool = true;
    type Request = SendMessageRequest;
    type Item = SendMessagesRequest;
    type Answer = SendMessagesResponse;

    fn read(values: &mut Values) -> SendMessageRequest {
        let to_address = values.text("to_address").map(Recipient::ToAddress);
        let gid = values.number("gid", &u64::MAX).map(Recipient::Gid);
        if to_address.is_some() && gid.is_some() {
            let what = "must be blank if to_address is not";
            values.mistakes.push(Mistake::new("gid", what));
        }
        SendMessageRequest {
            from_address: values.text("from_address").unwrap_or_default(),
            recipient: to_address.or(gid),
            message_type: values.number("message_type", &u32::MAX),
            expiry: values.time("expiry"),
            message: values.text("message").unwrap_or_default(),
            request_id: values.text("request_id"),
        }
    }

    fn problems(request: &SendMessageRequest) -> Vec<(String, String)> {
        service::message::problems(request)
    }

    fn identify(request: &mut SendMessageRequest, id: impl FnOnce() -> String) {
        request.request_id.get_or_insert_with(id);
    }

    fn about(request: &SendMessageRequest) -> String {
        match &request.recipient {
            Some(Recipient::ToAddress(addresses)) => addresses.clone(),
            Some(Recipient::Gid(gid)) => gid.to_string(),
            None => String::new(),
        }
    }

    fn item(key: String, request: SendMessageRequest) -> SendMessagesRequest {
        let request = Some(request);
        SendMessagesRequest { key, request }
    }

    fn answer(answer: SendMessagesResponse, _: bool) -> (String, Result<Vec<String>, ItemStatus>) {
        let result = match answer.result {
            Some(ItemResult::Response(sent)) => {
                let id = sent.message_id.map(|id| id.to_string());
                Ok(vec![id.unwrap_or_default()])
            }
            Some(ItemResult::Status(status)) => Err(status),
            None => Err(ItemStatus::default()),
        };
        (answer.key, result)
    }

    async fn open(
        channel: ServerChannel,
        items: Request<ReceiverStream<SendMessagesRequest>>,
    ) -> Result<Answers<SendMessagesResponse>, Status> {
        let answers = MessageServiceClient::new(channel)
            .send_messages(items)
            .await?;
        Ok(Box::pin(answers.into_inner()))
    }
}
