//! RPCs whose requests also come by the thousand, as the items of a stream.
//!
//! One task reads the items of a stream, in their order. It reads one when the one before
//! was admitted and fewer are in flight than may be; the others wait in the client, by the
//! flow control of HTTP/2. Each item that was admitted has a task that carries it out, and
//! is in flight until its answer goes out. So neither a rate nor a client that does not
//! read makes anything pile up, and a client that reads late does not delay what is on its
//! way to Mesibo.

use std::{
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use opentelemetry::context::FutureExt as _;
use prost::Message;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::{once, split};
use crate::{
    call::{Context, Memory, Policy, Record, context::ItemObserver},
    proto::ItemStatus,
    status,
};

/// The memory of an item besides its message: its tasks, its form, and its answer.
const ITEM_BYTES: usize = 8 << 10;

/// The limits of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Most items of a stream that are in flight at a time.
    pub window: usize,
    /// How long a stream may be without an item in flight.
    pub idle_timeout: Duration,
}

/// An RPC whose requests also come as the items of a stream. Both take the same road: a
/// request is admitted, and then carried out.
pub(super) trait Streamed: Clone + Send + Sync + 'static {
    /// The request of one call, or in one item.
    type Request;
    /// A request that may be carried out.
    type Admitted: Send + 'static;
    /// The answer to one call, or in the answer to one item.
    type Response: Send;
    /// An item.
    type Item: Message + 'static;
    /// The answer to an item.
    type Answer: Send + 'static;

    /// Checks a request. An item of a stream waits here for its rate.
    fn admit(
        call: Context,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Admitted, Status>> + Send;

    /// Carries out a request that was admitted.
    fn carry_out(
        &self,
        admitted: Self::Admitted,
    ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send;

    /// The key and the request of an item.
    fn open(item: Self::Item) -> (String, Self::Request);

    /// The answer to the item of this key.
    fn answer(key: String, outcome: Outcome<Self::Response>) -> Self::Answer;
}

/// What became of an item.
pub(super) struct Outcome<R> {
    pub(super) result: Result<R, ItemStatus>,
    /// Whether it is the answer to an earlier request with the same id.
    pub(super) replayed: bool,
}

/// The answers of a stream, as they are known. Dropping them ends what goes on for the
/// stream, but for writes that were sent.
pub struct Answers<A> {
    answers: UnboundedReceiver<Sent<A>>,
    _reader: AbortOnDropHandle<()>,
}

/// An answer, or the end of the stream. What the item takes is given back when the answer
/// goes out.
struct Sent<A> {
    answer: Result<A, Status>,
    _taken: Option<Taken>,
}

/// What an item takes up to its answer.
struct Taken {
    _place: OwnedSemaphorePermit,
    _memory: Memory,
}

/// Reads the items of a stream.
struct Reader<S: Streamed> {
    service: Arc<S>,
    call: Context,
    limits: StreamLimits,
    items: Streaming<S::Item>,
    places: Arc<Semaphore>,
    tasks: JoinSet<()>,
    answers: UnboundedSender<Sent<S::Answer>>,
}

/// An item that has no answer yet.
struct Unanswered<S: Streamed> {
    key: String,
    record: Record,
    taken: Taken,
    answers: UnboundedSender<Sent<S::Answer>>,
    stream: Record,
    policy: &'static Policy,
    observer: Arc<dyn ItemObserver>,
}

fn draining(call: &Context) -> Status {
    status::draining().into_status(call.record.id())
}

/// Answers the items of a stream.
pub(super) fn answer<S: Streamed>(
    service: &S,
    limits: StreamLimits,
    request: Request<Streaming<S::Item>>,
) -> Response<Answers<S::Answer>> {
    let (call, items) = split(request);
    // It holds no more than there are places, and the end.
    let (sender, answers) = mpsc::unbounded_channel();
    let reader = Reader {
        service: Arc::new(service.clone()),
        call,
        limits,
        items,
        places: Arc::new(Semaphore::new(limits.window)),
        tasks: JoinSet::new(),
        answers: sender,
    };
    let reader = tokio::spawn(reader.run().in_current_span().with_current_context());
    Response::new(Answers {
        answers,
        _reader: AbortOnDropHandle::new(reader),
    })
}

impl<A> Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let sent = self.answers.poll_recv(context);
        sent.map(|sent| sent.map(|sent| sent.answer))
    }
}

impl<S: Streamed> Reader<S> {
    /// Reads the stream to its end, which comes after the answers of all items in flight.
    async fn run(mut self) {
        let ended = self.read().await;
        while self.tasks.join_next().await.is_some() {}
        if let Err(status) = ended {
            let end = Sent {
                answer: Err(status),
                _taken: None,
            };
            // It fails if nobody waits for it any longer.
            let _ = self.answers.send(end);
        }
    }

    async fn read(&mut self) -> Result<(), Status> {
        while let Some((item, place)) = self.next().await? {
            self.begin(item, place).await?;
        }
        Ok(())
    }

    /// The next item, and its place among those in flight.
    async fn next(&mut self) -> Result<Option<(S::Item, OwnedSemaphorePermit)>, Status> {
        let mut stopping = self.call.stopping();
        if stopping.is_stopped() {
            return Err(draining(&self.call));
        }
        let mut item = pin!(async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("nothing closes it");
            let item = self.items.message().await?;
            Ok(item.map(|item| (item, place)))
        });
        let idle_timeout = self.limits.idle_timeout;
        let mut idle = pin!(sleep(idle_timeout));
        loop {
            tokio::select! {
                biased;
                item = &mut item => return item,
                () = stopping.stopped() => return Err(draining(&self.call)),
                Some(_) = self.tasks.join_next() => {
                    idle.as_mut().reset(Instant::now() + idle_timeout);
                }
                () = &mut idle, if self.tasks.is_empty() => {
                    let draft = status::stream_idle(idle_timeout);
                    return Err(draft.into_status(self.call.record.id()));
                }
            }
        }
    }

    /// Admits an item, and has it carried out.
    async fn begin(&mut self, item: S::Item, place: OwnedSemaphorePermit) -> Result<(), Status> {
        let memory = self.memory(item.encoded_len() + ITEM_BYTES).await;
        let (key, request) = S::open(item);
        let call = self.call.item(key.as_str().into(), memory.clone());
        let item = Unanswered::<S> {
            key,
            record: call.record.clone(),
            taken: Taken {
                _place: place,
                _memory: memory,
            },
            answers: self.answers.clone(),
            stream: self.call.record.clone(),
            policy: self.call.policy,
            observer: Arc::clone(&self.call.observer),
        };
        let mut stopping = self.call.stopping();
        let admitted = tokio::select! {
            biased;
            admitted = item.guard(S::admit(call, request)) => admitted,
            // What was not admitted was not sent, and has no answer.
            () = stopping.stopped() => return Err(draining(&self.call)),
        };
        match admitted {
            Err(status) => item.answer(Err(status)),
            Ok(admitted) => {
                let service = Arc::clone(&self.service);
                let task = async move {
                    let result = item.guard(service.carry_out(admitted)).await;
                    item.answer(result);
                };
                self.tasks
                    .spawn(task.in_current_span().with_current_context());
            }
        }
        Ok(())
    }

    /// The memory of an item. Without any left it waits for those in flight; if there are
    /// none, the memory of the stream is enough for one.
    async fn memory(&mut self, bytes: usize) -> Memory {
        loop {
            if let Ok(memory) = self.call.memory.take_another(bytes) {
                return memory;
            }
            if self.tasks.join_next().await.is_none() {
                return self.call.memory.clone();
            }
        }
    }
}

impl<S: Streamed> Unanswered<S> {
    /// A panic fails the item alone.
    async fn guard<T>(&self, future: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let result = AssertUnwindSafe(future).catch_unwind().await;
        result.unwrap_or_else(|_| {
            self.observer.panicked();
            Err(status::panicked().into_status(self.record.id()))
        })
    }

    fn answer(self, result: Result<Response<S::Response>, Status>) {
        let code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
        self.observer.answered(self.policy, &self.record, code);
        self.stream.answered(code != Code::Ok);
        // The line of the stream says why its first item failed.
        if self.stream.failure().is_none()
            && let (Some(outcome), Some(failure)) = (self.record.outcome(), self.record.failure())
        {
            self.stream.upstream_failed(outcome, failure.clone());
        }
        let sent = Sent {
            answer: Ok(S::answer(self.key, Outcome::of(result))),
            _taken: Some(self.taken),
        };
        // It fails if nobody waits for it any longer.
        let _ = self.answers.send(sent);
    }
}

impl<R> Outcome<R> {
    fn of(result: Result<Response<R>, Status>) -> Self {
        match result {
            Ok(response) => Self {
                replayed: once::is_replayed(response.metadata()),
                result: Ok(response.into_inner()),
            },
            Err(status) => Self {
                replayed: once::is_replayed(status.metadata()),
                result: Err(ItemStatus::of(&status)),
            },
        }
    }
}

impl ItemStatus {
    /// The status of an item that failed as a call with this status.
    fn of(status: &Status) -> Self {
        // Details are a google.rpc.Status, whose fields have the same numbers.
        Self::decode(status.details()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        num::NonZeroU32,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, Full};
    use prometheus_client::metrics::gauge::Gauge;
    use tokio_stream::StreamExt as _;
    use tonic::codec::Codec as _;
    use tonic_types::{Status as RpcStatus, StatusExt as _};

    use super::*;
    use crate::{
        call::{
            App, Asked, Denial, Peer, RequestId, Stop,
            context::{Due, Gate, Pause, Slot},
            memory::Pool,
        },
        codec::BoundedCodec,
        proto::{
            SendMessageResponse, SendMessagesRequest, SendMessagesResponse, send_messages_response,
        },
    };

    /// Panics as the key of an item says.
    #[derive(Clone)]
    struct Panics;

    impl Streamed for Panics {
        type Request = String;
        type Admitted = String;
        type Response = SendMessageResponse;
        type Item = SendMessagesRequest;
        type Answer = SendMessagesResponse;

        async fn admit(call: Context, key: String) -> Result<String, Status> {
            assert_ne!(key, "at its admission");
            assert_eq!(&**call.record.key().unwrap(), key);
            Ok(key)
        }

        async fn carry_out(&self, key: String) -> Result<Response<SendMessageResponse>, Status> {
            assert_ne!(key, "on its way");
            Ok(Response::new(SendMessageResponse::default()))
        }

        fn open(item: SendMessagesRequest) -> (String, String) {
            (item.key.clone(), item.key)
        }

        fn answer(key: String, outcome: Outcome<SendMessageResponse>) -> SendMessagesResponse {
            <crate::service::message::Messages as Streamed>::answer(key, outcome)
        }
    }

    /// Admits everything, and counts panics.
    #[derive(Default)]
    struct Server(AtomicUsize);

    impl Gate for Server {
        fn admit(&self, _: &Context, _: &Asked<'_>) -> Result<(), Denial> {
            Ok(())
        }

        fn begin(&self, _: &Context, _: NonZeroU32) -> Result<Option<Slot>, Denial> {
            Ok(None)
        }

        fn pause(&self, _: &Context, _: &Denial) -> Option<Pause> {
            None
        }

        fn may_read_token(&self, _: &Context, _: Option<&str>) -> bool {
            false
        }
    }

    impl ItemObserver for Server {
        fn answered(&self, _: &'static Policy, _: &Record, _: Code) {}

        fn panicked(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn context(server: &Arc<Server>, stopping: crate::call::Stopping) -> Context {
        let pool = || Pool::new(1 << 20, Gauge::default());
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), None, stopping);
        Context {
            policy: Policy::of_path("/mesibo.v1.MessageService/SendMessages").unwrap(),
            caller: "anonymous".into(),
            app: Arc::new(App::idle("default", 1)),
            due: Due::Item {
                timeout: Duration::from_secs(1),
                stream: None,
            },
            record: Record::new(RequestId::of(&HeaderMap::new()), peer.clone()),
            peer,
            memory: Memory::take([pool(), pool()], 0).unwrap(),
            gate: Arc::clone(server) as Arc<dyn Gate>,
            observer: Arc::clone(server) as Arc<dyn ItemObserver>,
            slot: None,
        }
    }

    /// A stream of items with these keys.
    fn items(keys: &[&str]) -> Streaming<SendMessagesRequest> {
        let body = keys.iter().flat_map(|key| {
            let item = SendMessagesRequest {
                key: (*key).to_owned(),
                request: None,
            };
            let item = item.encode_to_vec();
            let length = u32::try_from(item.len()).unwrap().to_be_bytes();
            [&[0], &length[..], &item].concat()
        });
        let body = Full::new(body.collect::<Bytes>()).map_err(|never| match never {});
        let decoder = BoundedCodec::<(), SendMessagesRequest>::default().decoder();
        Streaming::new_request(decoder, body, None, None)
    }

    #[tokio::test]
    async fn a_panic_fails_an_item_alone() {
        let server = Arc::new(Server::default());
        let (_stop, stopping) = Stop::new();
        let keys = ["one", "at its admission", "two", "on its way", "three"];
        let mut request = Request::new(items(&keys));
        request.extensions_mut().insert(context(&server, stopping));
        let limits = StreamLimits {
            window: 2,
            idle_timeout: Duration::from_mins(1),
        };
        let answers = answer(&Panics, limits, request).into_inner();
        let answers: Vec<_> = answers.collect().await;
        assert_eq!(answers.len(), keys.len());
        for answer in answers {
            let answer = answer.unwrap();
            match answer.result.unwrap() {
                send_messages_response::Result::Response(_) => {
                    assert!(!answer.key.contains(' '), "{}", answer.key);
                }
                send_messages_response::Result::Status(status) => {
                    assert!(answer.key.contains(' '), "{}", answer.key);
                    let status = RpcStatus::decode(&*status.encode_to_vec()).unwrap();
                    let status = Status::with_details(
                        status.code.into(),
                        status.message.clone(),
                        status.encode_to_vec().into(),
                    );
                    assert_eq!(status.code(), Code::Internal);
                    let info = status.get_details_error_info().unwrap();
                    assert_eq!(info.reason, "INTERNAL_PANIC");
                }
            }
        }
        assert_eq!(server.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn the_status_of_an_item_and_that_of_a_call_decode_each_others_bytes() {
        let id = RequestId::of(&HeaderMap::new());
        let status = status::draining().into_status(&id);
        let of_item = ItemStatus::of(&status);
        assert_eq!(of_item.code, Code::Unavailable as i32);
        assert_eq!(of_item.message, status.message());
        assert_eq!(of_item.encode_to_vec(), status.details());
        let read = RpcStatus::decode(&*of_item.encode_to_vec()).unwrap();
        assert_eq!(read.details.len(), of_item.details.len());
    }
}
