//! Lists that are longer than any that the contract allows, in messages of the largest
//! size: they cost what their bytes cost.
//!
//! Linux only, as times and memory of a process are in `/proc`.
#![cfg(target_os = "linux")]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Request, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mesibo_grpc::proto::{CreateGroupRequest, SendMessageRequest, send_message_request::Recipient};
use prost::Message;
use tokio::task::JoinSet;
use tonic::{Code, Status, body::Body};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    attacker::{HALF_A_GIGABYTE, limited},
    callers::caller,
};
use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    facade::{Raw, raw, soon},
    settings_file, told,
};

const SEND: &str = "mesibo.v1.MessageService/SendMessage";
const CREATE: &str = "mesibo.v1.GroupService/CreateGroup";

/// Callers: one whose rate does not help, and one whose rate is the least.
const MANY: &str = "mgk_s3ntinel_many";
const FEW: &str = "mgk_s3ntinel_few";

/// Just below the largest message that is taken.
const LARGEST: usize = (4 << 20) - 1_000;

/// Calls at a time.
const CALLS: usize = 8;

/// Fewer probes tell nothing about how often there is an answer.
const LEAST_PROBES: f64 = 10.0;

/// A call with an encoded message.
#[derive(Clone)]
struct Attack {
    rpc: &'static str,
    message: Bytes,
    /// Whether the request ends with its message, or stays open.
    ends: bool,
}

/// What something cost the server, while it also answered for its health.
#[derive(Debug)]
struct Cost {
    cpu: Duration,
    /// How much its largest memory grew, in KiB.
    memory: usize,
    /// How often it answered for its health in a second.
    probes: f64,
}

impl Attack {
    fn new(rpc: &'static str, message: &impl Message) -> Self {
        let encoded = message.encode_to_vec();
        let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
        Self {
            rpc,
            message: [&[0][..], &length, &encoded].concat().into(),
            ends: true,
        }
    }

    /// A message that breaks one rule, by one long text: what a message of the size costs.
    fn ordinary() -> Self {
        Self::new(
            SEND,
            &SendMessageRequest {
                from_address: "alice".into(),
                recipient: Some(Recipient::Gid(9)),
                message: "x".repeat(LARGEST),
                ..Default::default()
            },
        )
    }

    fn commas() -> Self {
        let commas = Recipient::ToAddress(",".repeat(LARGEST));
        Self::new(
            SEND,
            &SendMessageRequest {
                recipient: Some(commas),
                ..Default::default()
            },
        )
    }

    fn members(count: usize) -> Self {
        Self::new(
            CREATE,
            &CreateGroupRequest {
                members: vec![String::new(); count],
                ..Default::default()
            },
        )
    }

    async fn make(self, (client, origin): &(Raw, Uri), key: &str) -> Status {
        let message = Frame::data(self.message);
        let message = stream::once(async { Ok::<_, Infallible>(message) });
        let body = if self.ends {
            Body::new(StreamBody::new(message))
        } else {
            Body::new(StreamBody::new(message.chain(stream::pending())))
        };
        let request = Request::post(format!("{origin}{}", self.rpc))
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {key}"))
            .body(body);
        let response = soon(client.request(request.unwrap())).await.unwrap();
        let (head, body) = response.into_parts();
        let status = |headers: &HeaderMap| Status::from_header_map(headers);
        match status(&head.headers) {
            Some(status) => status,
            None => status(soon(body.collect()).await.unwrap().trailers().unwrap()).unwrap(),
        }
    }
}

/// Makes a call many times at once, and gives its cost and its status.
async fn attack(server: &Process, key: &'static str, attack: &Attack) -> (Cost, Status) {
    let connection = raw(server.address.parse().unwrap());
    let mut health = HealthClient::new(server.channel().await);
    let (cpu, memory) = (server.cpu_time(), server.peak_memory());
    let started = tokio::time::Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let (attack, connection) = (attack.clone(), connection.clone());
        calls.spawn(async move { attack.make(&connection, key).await });
    }
    let mut probes = 0.0;
    let mut statuses = Vec::new();
    while statuses.len() < CALLS {
        tokio::select! {
            status = calls.join_next() => statuses.push(status.unwrap().unwrap()),
            answered = health.check(HealthCheckRequest::default()) => {
                answered.unwrap();
                probes += 1.0;
            }
        }
    }
    // Calls may be over before a few probes are.
    while probes < LEAST_PROBES {
        let probe = health.check(HealthCheckRequest::default());
        soon(probe).await.unwrap();
        probes += 1.0;
    }
    let cost = Cost {
        cpu: server.cpu_time().saturating_sub(cpu),
        memory: server.peak_memory().saturating_sub(memory),
        probes: probes / started.elapsed().as_secs_f64(),
    };
    (cost, statuses.pop().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_millions_costs_no_more_than_a_text_of_its_size() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let callers = [
        caller("many", MANY, "rate = 1000000"),
        caller("few", FEW, "rate = 0.001"),
    ];
    let settings = settings_file(&callers.concat());
    let args = [
        "--upstream-url",
        &backend.url(),
        "--default-deadline",
        "60s",
    ];
    let mut server = limited(HALF_A_GIGABYTE, &args);
    server
        .args([
            "--metrics-listen",
            "none",
            "--worker-threads",
            "1",
            "--config",
        ])
        .arg(settings.path());
    let server = Process::start(server);
    let ordinary = Attack::ordinary();
    // Whatever is allocated once is there afterwards.
    attack(&server, MANY, &ordinary).await;
    let (usual, status) = attack(&server, MANY, &ordinary).await;
    assert_eq!(told(&status).2, "INVALID_REQUEST");

    let open = Attack {
        ends: false,
        ..Attack::members(2_000_000)
    };
    for (name, attempted) in [
        ("commas", Attack::commas()),
        ("millions of members", Attack::members(2_000_000)),
        ("millions of members, and no end", open),
        ("as many members as are read", Attack::members(9_999)),
    ] {
        let (cost, status) = attack(&server, MANY, &attempted).await;
        let (code, _, reason, _) = told(&status);
        assert_eq!(
            (code, &*reason),
            (Code::InvalidArgument, "INVALID_REQUEST"),
            "{name}"
        );
        let least = Duration::from_millis(100);
        let figures = format!("{name}: {cost:?}; usually {usual:?}");
        assert!(cost.cpu < 4 * usual.cpu.max(least), "{figures}");
        assert!(cost.memory < 64 << 10, "{figures}");
        // What stalls the server for seconds leaves a probe or two.
        assert!(cost.probes > usual.probes / 40.0, "{figures}");
    }

    // The least of rates admits one, and the rest is not even read.
    let connection = raw(server.address.parse().unwrap());
    let status = Attack::commas().make(&connection, FEW).await;
    assert_eq!(told(&status).3["burst"], "1");
    for attempted in [Attack::commas(), Attack::members(2_000_000)] {
        let status = attempted.make(&connection, FEW).await;
        assert_eq!(told(&status).2, "RATE_LIMITED");
    }
    assert!(backend.requests().is_empty());
}
