//! Requests that take memory.

use std::time::Duration;

use mesibo_grpc::{
    proto::{SendMessageRequest, send_message_request::Recipient},
    server::Limits,
};
use prost::Message as _;
use tokio::{task::JoinSet, time::timeout};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use super::attacker::{Attacker, Body, FAR_BELOW, HALF_A_GIGABYTE, body, endless, limited, status};
use crate::support::{
    Answer, Backend, EVERYTHING, Facade, Process, facade, facade::soon, telling, told,
};

const NOWHERE: &str = "http://127.0.0.1:1/";

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SEND: &str = "/mesibo.v1.MessageService/SendMessage";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The longest deadline that `grpc-timeout` can say.
const FOREVER: (&str, &str) = ("grpc-timeout", "99999999S");

/// Long enough for what must not happen to happen on a slow machine.
const A_WHILE: Duration = Duration::from_secs(2);

/// A facade with these limits.
fn facade(upstream: &str, change: impl FnOnce(&mut Limits)) -> Facade {
    let mut config = facade::config(upstream, &[("open-reflection", "true")]);
    change(&mut config.server.limits);
    Facade::of(config)
}

/// A message of so many bytes.
fn message(bytes: usize) -> Vec<u8> {
    message_of("x", bytes)
}

pub(super) fn message_of(c: &str, bytes: usize) -> Vec<u8> {
    let message = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(7)),
        message: c.repeat(bytes),
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat()
}

async fn assert_serves(process: &Process) {
    let mut health = HealthClient::new(process.channel().await);
    let checked = soon(health.check(HealthCheckRequest::default())).await;
    checked.unwrap();
}

/// Makes so many calls on each of so many connections, all of which are to be refused.
async fn assert_all_refused(
    attackers: &[Attacker],
    calls: usize,
    path: &'static str,
    body: impl Fn() -> Body,
    reason: &str,
) {
    let mut refused = JoinSet::new();
    for attacker in attackers {
        for _ in 0..calls {
            let (sender, body) = (Attacker(attacker.0.clone()), body());
            refused.spawn(async move { sender.status(path, &[FOREVER], body).await });
        }
    }
    while let Some(status) = soon(refused.join_next()).await {
        let status = status.unwrap();
        let (code, _, told, _) = told(&status);
        assert_eq!((code, told.as_str()), (Code::ResourceExhausted, reason));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_of_health_calls_are_refused_on_every_port_and_not_gathered() {
    let args = ["--metrics-listen", "none", "--health-listen", "127.0.0.1:0"];
    let command = limited(
        HALF_A_GIGABYTE,
        &[&args[..], &["--upstream-url", NOWHERE]].concat(),
    );
    let process = Process::start(command);
    let (grpc, health) = (
        process.address.parse().unwrap(),
        process.logged_address("health="),
    );
    let before = process.memory();
    for address in [grpc, health, health] {
        let attackers = [Attacker::connect(address).await];
        let large = || endless((4 << 20) - 1, (4 << 20) - 6);
        assert_all_refused(&attackers, 200, CHECK, large, "MESSAGE_TOO_LARGE").await;
        assert_serves(&process).await;
    }
    let taken = process.memory() - before;
    assert!(taken < FAR_BELOW, "{taken} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_caller_take_a_share_of_the_memory_and_keep_no_caller_out() {
    const CONNECTIONS: usize = 16;
    const CALLS: usize = 200;
    // What they may take is enough for some 1,300 of them.
    const AT_LEAST: usize = CONNECTIONS * CALLS / 2;
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let args = [
        "--metrics-listen=none",
        "--request-body-timeout=10m",
        // No connection is told to come back to another thread.
        "--worker-threads=1",
        "--upstream-url",
        &backend.url(),
    ];
    let process = Process::start(limited(HALF_A_GIGABYTE, &args));
    let address = process.address.parse().unwrap();
    let before = process.memory();

    let padding = "x".repeat(12 << 10);
    let (mut calls, mut attackers) = (JoinSet::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let attacker = Attacker::connect(address).await;
        for _ in 0..CALLS {
            let (sender, padding) = (Attacker(attacker.0.clone()), padding.clone());
            calls.spawn(async move {
                let headers = [FOREVER, ("x-padding", &*padding)];
                sender.status(CHECK, &headers, endless(1000, 10)).await
            });
        }
        attackers.push(attacker);
    }
    // The attackers take most of the processor, and far longer than the server.
    let refusals = async {
        for _ in 0..AT_LEAST {
            let status = calls.join_next().await.unwrap().unwrap();
            assert_eq!(told(&status).2, "REQUEST_MEMORY");
        }
    };
    timeout(Duration::from_secs(100), refusals).await.unwrap();
    let taken = process.memory() - before;
    assert!(taken < FAR_BELOW, "{taken} KiB");

    let caller = Attacker::connect(address).await;
    let status = soon(caller.status(SEND, &[], body(message(1 << 20), true))).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
}

#[tokio::test]
async fn a_connection_has_so_much_memory_for_its_requests_and_gets_it_back() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = facade(&backend.url(), |limits| {
        limits.max_request_memory_per_connection = 300_000;
    });
    let attacker = Attacker::connect(facade.addr()).await;
    let first = attacker.call(SEND, &[FOREVER], endless(250_000, 10));
    let mut first = Box::pin(first);
    assert!(timeout(A_WHILE, &mut first).await.is_err());

    let status = attacker.status(SEND, &[], endless(250_000, 10)).await;
    let expected = telling(
        Code::ResourceExhausted,
        "mesibo-grpc",
        "REQUEST_MEMORY",
        &[],
    );
    assert_eq!(told(&status), expected);
    let retry = status.get_error_details().retry_info().cloned().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
    // A smaller one and another connection have enough.
    let small = attacker.status(SEND, &[], body(message(10), true)).await;
    assert_eq!(small.code(), Code::Ok, "{small:?}");
    let other = Attacker::connect(facade.addr()).await;
    let large = async || body(message(250_000), true);
    let status = other.status(SEND, &[], large().await).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");

    drop(first);
    let again =
        async { while attacker.status(SEND, &[], large().await).await.code() != Code::Ok {} };
    soon(again).await;
}

#[tokio::test]
async fn the_process_has_so_much_memory_for_requests_up_to_the_end_of_their_calls() {
    let backend = Backend::always(Answer::Hang);
    let facade = facade(&backend.url(), |limits| limits.max_request_memory = 400_000);
    // A message that arrived counts for as long as Mesibo is asked.
    let first = Attacker::connect(facade.addr()).await;
    let in_flight = first.call(SEND, &[FOREVER], body(message(200_000), true));
    let mut in_flight = Box::pin(in_flight);
    let asked = async {
        tokio::select! {
            response = &mut in_flight => panic!("{response:?}"),
            () = backend.got(1) => {}
        }
    };
    soon(asked).await;

    let second = Attacker::connect(facade.addr()).await;
    for _ in 0..3 {
        let status = second.status(SEND, &[], body(message(200_000), true)).await;
        assert_eq!(told(&status).2, "REQUEST_MEMORY");
    }
    let mut health = HealthClient::new(facade.channel.clone());
    soon(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn a_message_that_does_not_arrive_in_time_is_given_up() {
    let facade = facade(NOWHERE, |limits| {
        limits.request_body_timeout = Duration::from_millis(300);
    });
    let attacker = Attacker::connect(facade.addr()).await;
    let whole = body(message(10), false);
    for (path, body) in [
        (CHECK, body(Vec::new(), false)),
        (CHECK, body(vec![0, 0, 0], false)),
        (WATCH, body(Vec::new(), false)),
        (SEND, endless(1 << 20, 100_000)),
        // The message is there, but not the end of the request.
        (SEND, whole),
    ] {
        let status = soon(attacker.status(path, &[FOREVER], body)).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path}: {status:?}");
        let text = "the request message did not arrive within 300ms; nothing was sent";
        assert_eq!(status.message(), text);
        assert_eq!(told(&status).2, "DEADLINE_EXCEEDED");
    }
    // The service of reflection does not pass on why its stream ended.
    for body in [body(Vec::new(), false), endless(1000, 10)] {
        soon(attacker.status(REFLECT, &[FOREVER], body)).await;
    }
}

#[tokio::test]
async fn a_stream_may_pause_between_its_messages() {
    let facade = facade(NOWHERE, |limits| {
        limits.request_body_timeout = Duration::from_millis(300);
    });
    let attacker = Attacker::connect(facade.addr()).await;
    // ServerReflectionRequest.list_services.
    let list = [0, 0, 0, 0, 2, 0x3a, 0];
    let response = attacker.call(REFLECT, &[], body(list, false));
    let response = soon(response).await.unwrap();
    assert!(timeout(A_WHILE, status(response)).await.is_err());
}
