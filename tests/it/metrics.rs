//! What is counted, and that it is counted once.

use std::collections::{BTreeMap, BTreeSet};

use http::uri::PathAndQuery;
use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        DeleteUserRequest, ListUsersRequest, SendMessageRequest,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        user_service_client::UserServiceClient,
    },
};
use tokio::task::JoinSet;
use tonic::{Code, Request, client::Grpc};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;

use crate::{
    support::{
        Answer, Backend, EVERYTHING, Process,
        facade::soon,
        get,
        http2::{CANCEL, END_HEADERS, Frame, Peer},
        settings_file,
    },
    tls::Secured,
};

/// The values of all series, by their names with their labels.
type Series = BTreeMap<String, f64>;

fn serve(backend: &Backend) -> Process {
    Process::serve(&backend.url(), &["--metrics-listen", "127.0.0.1:0"])
}

async fn scrape(server: &Process) -> Series {
    let text = get(server.logged_address("metrics="), "/metrics").await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of the series whose names begin so and have this in them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn sum(series: &Series, name: &str, has: &str) -> usize {
    let of_name = series.iter().filter(|(key, _)| {
        let key = key.strip_prefix(name);
        key.is_some_and(|labels| {
            labels.is_empty() || labels.starts_with('{') && labels.contains(has)
        })
    });
    of_name.map(|(_, value)| *value as usize).sum()
}

/// Waits until so many calls are over, and as many as were started.
async fn handled(server: &Process, count: usize) -> Series {
    soon(async {
        loop {
            let series = scrape(server).await;
            let started = sum(&series, "grpc_server_started_total", "");
            let handled = sum(&series, "grpc_server_handled_total", "");
            assert!(
                handled <= started && started <= count,
                "{handled} of {started}"
            );
            if handled == count {
                break series;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_counted_once_whatever_ends_it() {
    let backend = Backend::scripted(|request| match request.get("op").unwrap() {
        "userdel" => Answer::Hang,
        "message" => Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        _ => Answer::ok(EVERYTHING),
    });
    let server = serve(&backend);
    let channel = server.channel().await;
    let mut users = UserServiceClient::new(channel.clone());
    let mut messages = MessageServiceClient::new(channel.clone());
    let mut health = HealthClient::new(channel.clone());
    let mut count = 0;
    for _ in 0..10 {
        // Trailers; headers alone; and a stream that its caller leaves.
        users.list_users(ListUsersRequest::default()).await.unwrap();
        let empty = SendMessageRequest::default();
        messages.send_message(empty).await.unwrap_err();
        let watch = health.watch(HealthCheckRequest::default()).await;
        watch.unwrap().into_inner().message().await.unwrap();
        count += 3;
    }
    // Callers who go away before the answer, and a deadline.
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let mut users = users.clone();
        calls.spawn(async move {
            users
                .delete_user(DeleteUserRequest {
                    uid: 7,
                    ..DeleteUserRequest::default()
                })
                .await
        });
    }
    soon(backend.got(20)).await;
    calls.shutdown().await;
    let mut late = Request::new(DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    });
    late.set_timeout(std::time::Duration::from_millis(100));
    users.delete_user(late).await.unwrap_err();
    count += 11;
    // Streams that are reset before the request is there.
    let mut peer = Peer::connect(server.address.parse().unwrap()).await;
    for number in 0..10 {
        let stream = 2 * number + 1;
        let path = "/mesibo.v1.UserService/EditUser";
        let open = Frame::headers(stream, END_HEADERS, path);
        assert!(peer.send(&[open]).await);
    }
    // Only what the server has begun is a call.
    soon(async {
        while sum(
            &scrape(&server).await,
            "grpc_server_started_total",
            "EditUser",
        ) < 10
        {}
    })
    .await;
    for number in 0..10 {
        assert!(peer.send(&[Frame::reset(2 * number + 1, CANCEL)]).await);
    }
    count += 10;

    let series = handled(&server, count).await;
    let of = |has: &str, code: &str| {
        let code = format!("grpc_code=\"{code}\"");
        let labels = series
            .iter()
            .filter(|(key, _)| key.contains(&code))
            .map(|(k, v)| (k.clone(), *v));
        sum(&labels.collect(), "grpc_server_handled_total", has)
    };
    assert_eq!(of("ListUsers", "OK"), 10);
    assert_eq!(of("SendMessage", "InvalidArgument"), 10);
    assert_eq!(of("Watch", "Canceled"), 10);
    assert_eq!(of("EditUser", "Canceled"), 10);
    assert_eq!(
        of("DeleteUser\"", "Canceled") + of("DeleteUser\"", "DeadlineExceeded"),
        11
    );
    assert_eq!(
        sum(&series, "grpc_server_handling_seconds_count", ""),
        count
    );
    assert_eq!(
        sum(&series, "mesibo_grpc_caller_calls_total", "anonymous"),
        count - 10
    );
    assert_eq!(
        sum(&series, "mesibo_grpc_upstream_calls_total", "usersget"),
        10
    );
    assert_eq!(
        sum(&series, "mesibo_grpc_upstream_seconds_count", "usersget"),
        10
    );
}

#[tokio::test]
async fn names_that_callers_make_up_add_no_series() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend);
    let channel = server.channel().await;
    let before: BTreeSet<_> = scrape(&server).await.into_keys().collect();
    for number in 0..10_000 {
        let path = format!("/mesibo.v1.UserService{}/Made{number}", number % 7);
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let codec: ProstCodec<(), ()> = ProstCodec::default();
        let path = PathAndQuery::try_from(path).unwrap();
        let mut request = Request::new(());
        request
            .metadata_mut()
            .insert("mesibo-app", "default".parse().unwrap());
        let status = client.unary(request, path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    }
    let series = scrape(&server).await;
    assert_eq!(sum(&series, "grpc_server_handled_total", "unknown"), 10_000);
    assert_eq!(series.into_keys().collect::<BTreeSet<_>>(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_tell_what_is_there_and_are_0_again() {
    let backend = Backend::scripted(|request| match request.get("op").unwrap() {
        "usersget" => Answer::Hang,
        _ => Answer::ok(EVERYTHING),
    });
    let args = [
        "--metrics-listen",
        "127.0.0.1:0",
        "--upstream-max-in-flight",
        "2",
    ];
    let server = Process::serve(
        &backend.url(),
        &[&args[..], &["--upstream-max-wait", "1m"]].concat(),
    );
    let users = UserServiceClient::new(server.channel().await);
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let mut users = users.clone();
        calls.spawn(async move { users.list_users(ListUsersRequest::default()).await });
    }
    let gauges = async || {
        let series = scrape(&server).await;
        [
            "in_flight",
            "waiting",
            "connections",
            "max_in_flight",
            "breaker_open",
        ]
        .map(|name| sum(&series, &format!("mesibo_grpc_upstream_{name}"), "default"))
    };
    soon(async { while gauges().await != [2, 3, 2, 2, 0] {} }).await;
    calls.shutdown().await;
    soon(async { while gauges().await != [0, 0, 0, 2, 0] {} }).await;
    drop(users);
    soon(async { while sum(&scrape(&server).await, "mesibo_grpc_connections", "") > 0 {} }).await;
}

#[tokio::test]
async fn an_open_breaker_and_a_repeat_are_counted() {
    let server = Process::serve("http://127.0.0.1:1/", &["--metrics-listen", "127.0.0.1:0"]);
    let mut users = UserServiceClient::new(server.channel().await);
    while users
        .list_users(ListUsersRequest::default())
        .await
        .unwrap_err()
        .message()
        != "Mesibo does not answer; usersget was not sent, so try it again later"
    {}
    let series = scrape(&server).await;
    assert_eq!(
        sum(&series, "mesibo_grpc_upstream_breaker_open", "default"),
        1
    );

    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend);
    let mut messages = MessageServiceClient::new(server.channel().await);
    for _ in 0..3 {
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::Gid(7)),
            message: "Hello".into(),
            request_id: Some("6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e".into()),
            ..Default::default()
        };
        messages.send_message(request).await.unwrap();
    }
    let series = scrape(&server).await;
    assert_eq!(sum(&series, "mesibo_grpc_replayed_total", "SendMessage"), 2);
    assert_eq!(
        sum(&series, "mesibo_grpc_upstream_calls_total", "message"),
        1
    );
}

#[tokio::test]
async fn the_document_names_every_metric_and_no_other() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    // Metrics of keys are there if there is a key, and those of certificates with TLS.
    let settings = settings_file(&format!(
        "[callers.orders]\nkeys = [{{ hash = \"{}\", not-after = \"2099-12-31T00:00:00Z\" }}]\n\
         may-call = [\"*\"]\n",
        KeyHash::of(b"s3ntinel")
    ));
    let config = settings.path().to_str().unwrap();
    let server = Secured::serve(&backend, &["--config", config]);
    let text = get(server.metrics(), "/metrics").await;
    let mut exported = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        if name.ends_with("_seconds_sum") || name.ends_with("_seconds_count") {
            continue;
        }
        let labels = rest.split('}').next().unwrap().split("\",");
        let labels = labels.filter_map(|label| Some(label.split_once('=')?.0));
        let labels: BTreeSet<_> = labels.filter(|label| *label != "le").collect();
        exported.insert(name.trim_end_matches("_bucket"), labels);
    }
    let document = include_str!("../../docs/metrics.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<_, BTreeSet<_>> = rows
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_matches(['|', ' ', '`']);
            let labels = cells.next().unwrap().split(", ");
            let labels = labels.map(|label| label.trim_matches(['`', ' ']));
            (name, labels.filter(|label| !label.is_empty()).collect())
        })
        .collect();
    assert_eq!(exported, documented);
}
