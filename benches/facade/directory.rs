//! What the directory costs in `sqlite`: a look-up beside the call that fills it, and that
//! call and a message beside those of a server that keeps none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mesibo_grpc::proto::{
    CreateUserRequest, LookupUserRequest, SendMessageRequest,
    directory_service_client::DirectoryServiceClient, lookup_user_request::Key,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
    user_service_client::UserServiceClient,
};
use tempfile::{NamedTempFile, TempDir};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    Effort,
    identity::Identity,
    load::{cpu_a_call, endpoint, first_answer, median, median_of, ratio},
    process::{KEY, Server},
    servers::{facade, of_role},
};

const IN_FLIGHT: usize = 64;

const CONNECTIONS: usize = 4;

/// Into how many turns a round is split. The two servers change places more often than the
/// machine changes its pace.
const TURNS: u32 = 5;

/// The calls that are measured.
#[derive(Clone, Copy)]
enum Call {
    Create,
    LookUp,
    Send,
}

/// A server, the users that it has made, and the processor time of its calls.
struct Measured {
    server: Server,
    _settings: NamedTempFile,
    users: Arc<AtomicU64>,
    times: [Vec<Duration>; 3],
}

impl Call {
    const ALL: [Self; 3] = [Self::Create, Self::LookUp, Self::Send];

    async fn make(self, channel: Channel, key: &MetadataValue<Ascii>, users: &AtomicU64) {
        let address = |number: u64| format!("user-{number}@example.com");
        match self {
            Self::Create => {
                let request = CreateUserRequest {
                    address: address(users.fetch_add(1, Ordering::Relaxed)),
                    app_id: "bench".into(),
                    ..CreateUserRequest::default()
                };
                let mut client = UserServiceClient::new(channel);
                client.create_user(with_key(request, key)).await.map(drop)
            }
            Self::LookUp => {
                let number = fastrand::u64(..users.load(Ordering::Relaxed));
                let request = LookupUserRequest {
                    key: Some(Key::Address(address(number))),
                };
                let mut client = DirectoryServiceClient::new(channel);
                client.lookup_user(with_key(request, key)).await.map(drop)
            }
            Self::Send => {
                let request = SendMessageRequest {
                    from_address: "alice".into(),
                    recipient: Some(Recipient::ToAddress("bob".into())),
                    message: "x".repeat(100),
                    ..SendMessageRequest::default()
                };
                let mut client = MessageServiceClient::new(channel);
                client.send_message(with_key(request, key)).await.map(drop)
            }
        }
        .expect("no call fails");
    }
}

impl Measured {
    async fn start(
        backend: &Server,
        file: &str,
        has_directory: bool,
        identity: Option<&Identity>,
    ) -> Self {
        let more = format!("store = \"sqlite:{file}\"\ndirectory = {has_directory}\n");
        let (server, settings) = facade(backend, 1, &more, identity);
        first_answer(&server).await;
        Self {
            server,
            _settings: settings,
            users: Arc::default(),
            times: Default::default(),
        }
    }

    /// Measures a call for a while.
    async fn measure(&mut self, call: Call, time: Duration) {
        self.run(call, time / 10).await;
        let measured = self.run(call, time).await;
        self.times[call as usize].push(measured);
    }

    /// Makes calls for a while, and gives the server's CPU time a call.
    async fn run(&self, call: Call, time: Duration) -> Duration {
        let endpoint = endpoint(&self.server);
        let channels: Vec<_> = (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect();
        let key: MetadataValue<Ascii> = format!("Bearer {KEY}").parse().expect("it is ASCII");
        let users = Arc::clone(&self.users);
        cpu_a_call(&self.server, IN_FLIGHT, time, move |worker| {
            let channel = channels[worker % CONNECTIONS].clone();
            let (key, users) = (key.clone(), Arc::clone(&users));
            async move { call.make(channel, &key, &users).await }
        })
        .await
    }

    fn median(&self, call: Call) -> Duration {
        median(self.times[call as usize].clone())
    }
}

/// Measures both servers in turn, and prints the figures with their bars.
pub async fn measure(effort: Effort, identity: Option<&Identity>) {
    let folder = TempDir::new().expect("there is room for a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let backend = of_role(&["backend", "users"], identity);
    let mut with = Measured::start(&backend, &file("with.db"), true, identity).await;
    let mut without = Measured::start(&backend, &file("without.db"), false, identity).await;
    for call in Call::ALL {
        for _ in 0..effort.rounds * TURNS as usize {
            with.measure(call, effort.time / TURNS).await;
            if !matches!(call, Call::LookUp) {
                without.measure(call, effort.time / TURNS).await;
            }
        }
    }
    println!("\n| call | CPU a call | without the directory |\n|---|---|---|");
    let microseconds = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    for (name, call) in [("CreateUser", Call::Create), ("SendMessage", Call::Send)] {
        let [with, without] = [&with, &without].map(|it| microseconds(it.median(call)));
        println!("| {name} | {with} | {without} |");
    }
    let look_up = with.median(Call::LookUp);
    println!("| LookupUser | {} | |", microseconds(look_up));
    println!("\n| figure | bar | measured |\n|---|---|---|");
    let beside = |call: Call| {
        let turns = with.times[call as usize].iter();
        let ratios = turns.zip(&without.times[call as usize]);
        median_of(
            ratios
                .map(|(with, without)| ratio(*with, *without))
                .collect(),
        )
    };
    for (figure, bar, measured) in [
        (
            "CPU of LookupUser, to CreateUser",
            1.0,
            ratio(look_up, with.median(Call::Create)),
        ),
        (
            "CPU of CreateUser, to without the directory",
            1.6,
            beside(Call::Create),
        ),
        (
            "CPU of SendMessage, to without the directory",
            1.02,
            beside(Call::Send),
        ),
    ] {
        println!("| {figure} | at most {bar} | {measured:.2} |");
    }
}

fn with_key<T>(request: T, key: &MetadataValue<Ascii>) -> Request<T> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", key.clone());
    request
}
