//! Streams: by the thousand.

mod ends;
mod items;
mod limits;
mod rights;
mod volume;

use std::{collections::HashMap, time::Duration};

use mesibo_grpc::proto::{
    CreateUserRequest, CreateUsersRequest, CreateUsersResponse, ItemStatus, SendMessageRequest,
    SendMessageResponse, SendMessagesRequest, SendMessagesResponse, create_users_response,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
    send_messages_response, user_service_client::UserServiceClient,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::support::{
    Told,
    facade::{Bearer, soon},
    told,
};

/// Long enough for what must not happen to happen on a slow machine.
const A_WHILE: Duration = Duration::from_secs(1);

/// The client's side of a stream of items and answers.
struct Stream<Q, A> {
    items: Option<mpsc::Sender<Q>>,
    answers: Streaming<A>,
}

type Messages = Stream<SendMessagesRequest, SendMessagesResponse>;

type Users = Stream<CreateUsersRequest, CreateUsersResponse>;

/// The answers to items, by their keys.
type Answers = HashMap<String, Result<SendMessageResponse, Told>>;

impl Messages {
    async fn open(channel: &Channel) -> Self {
        Self::open_with(channel, Request::new).await.unwrap()
    }

    /// The same, with a key of a caller.
    async fn open_as(channel: &Channel, key: &'static str) -> Result<Self, Status> {
        Self::open_with(channel, |items| {
            let request = tonic::service::Interceptor::call(&mut Bearer(key), Request::new(()));
            request.unwrap().map(|()| items)
        })
        .await
    }

    async fn open_with(
        channel: &Channel,
        request: impl FnOnce(
            ReceiverStream<SendMessagesRequest>,
        ) -> Request<ReceiverStream<SendMessagesRequest>>,
    ) -> Result<Self, Status> {
        let (items, receiver) = mpsc::channel(1);
        let mut client = MessageServiceClient::new(channel.clone());
        let request = request(ReceiverStream::new(receiver));
        let answers = soon(client.send_messages(request)).await?.into_inner();
        Ok(Self {
            items: Some(items),
            answers,
        })
    }

    /// The answers up to the end of the stream, and how it ended.
    async fn rest(&mut self) -> (Answers, Result<(), Status>) {
        let mut answers = Answers::new();
        loop {
            match soon(self.answers.message()).await {
                Ok(Some(answer)) => {
                    let (key, result) = read(answer);
                    let earlier = answers.insert(key.clone(), result);
                    assert!(earlier.is_none(), "two answers to {key}");
                }
                Ok(None) => return (answers, Ok(())),
                Err(status) => return (answers, Err(status)),
            }
        }
    }
}

impl Users {
    async fn open(channel: &Channel) -> Self {
        let (items, receiver) = mpsc::channel(1);
        let mut client = UserServiceClient::new(channel.clone());
        let opened = client.create_users(ReceiverStream::new(receiver));
        Self {
            items: Some(items),
            answers: soon(opened).await.unwrap().into_inner(),
        }
    }
}

impl<Q: Send + 'static, A> Stream<Q, A> {
    /// Sends an item, once there is room for it.
    async fn send(&self, item: Q) {
        soon(self.items.as_ref().unwrap().send(item)).await.unwrap();
    }

    /// Sends items as there is room for them, besides what the test does, and then ends the
    /// client's side.
    fn send_all(&mut self, all: impl Iterator<Item = Q> + Send + 'static) {
        let items = self.items.take().unwrap();
        tokio::spawn(async move {
            for item in all {
                // The stream may be over.
                if items.send(item).await.is_err() {
                    break;
                }
            }
        });
    }

    /// Ends the client's side.
    fn finish(&mut self) {
        self.items = None;
    }
}

/// The key of an answer, and what it says.
fn read(answer: SendMessagesResponse) -> (String, Result<SendMessageResponse, Told>) {
    let result = match answer.result.expect("every answer has a result") {
        send_messages_response::Result::Response(response) => Ok(response),
        send_messages_response::Result::Status(status) => Err(told(&status_of(&status))),
    };
    (answer.key, result)
}

/// The status that a call of its own would have.
fn status_of(item: &ItemStatus) -> Status {
    let details = item.encode_to_vec().into();
    Status::with_details(Code::from(item.code), item.message.clone(), details)
}

/// An item with a message of this text, which is its key as well.
fn item(text: &str) -> SendMessagesRequest {
    item_of(text, message(text))
}

fn item_of(key: &str, request: SendMessageRequest) -> SendMessagesRequest {
    SendMessagesRequest {
        key: key.into(),
        request: Some(request),
    }
}

fn message(text: &str) -> SendMessageRequest {
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: text.into(),
        ..Default::default()
    }
}

/// An item with a user of this address, which is its key as well.
fn user(address: &str) -> CreateUsersRequest {
    let request = CreateUserRequest {
        address: address.into(),
        app_id: "demo".into(),
        ..Default::default()
    };
    CreateUsersRequest {
        key: address.into(),
        request: Some(request),
    }
}

/// The uid in the answer to an item with a user.
fn uid(answer: CreateUsersResponse) -> u64 {
    match answer.result.unwrap() {
        create_users_response::Result::Response(response) => response.uid,
        create_users_response::Result::Status(status) => panic!("{status:?}"),
    }
}

/// The texts of so many messages.
fn texts(count: usize) -> impl Iterator<Item = String> + Send + 'static {
    (0..count).map(|number| format!("message {number}"))
}
