//! Finding out who calls, and whether they may.

use std::{hint::black_box, net::SocketAddr, sync::Arc};

use divan::Bencher;
use http::{HeaderMap, header::AUTHORIZATION};
use mesibo::Client;
use mesibo_grpc::{
    access::{Access, Caller, CallerMetrics, key::KeyHash},
    call::{App, Apps, Peer, Policy, Record, RequestId, Stop, Stopping},
    config::Config,
};

const PATH: &str = "/mesibo.v1.MessageService/SendMessage";

fn caller(number: usize) -> Caller {
    Caller {
        name: format!("caller-{number}").into(),
        keys: vec![KeyHash::of(format!("key-{number}").as_bytes()).into()],
        certificates: Vec::new(),
        may_call: Some(Policy::allowed_by("mesibo.v1.MessageService/*")),
        apps: None,
        from_addresses: None,
        app_ids: None,
        read_tokens: false,
        rate: None,
        max_in_flight: None,
    }
}

/// Who may call the default app.
fn access(callers: usize) -> Access {
    let token = |name: &str| (name == "app-token").then(|| "token".to_owned());
    let config = Config::read(|setting| token(setting.name)).expect("the settings are right");
    let app = config.apps.into_iter().next().expect("there is one app");
    let client = Client::new(app.upstream, ());
    let app = App {
        label: "shop".into(),
        name: Arc::clone(&config.default_app),
        client: client.expect("the settings are right"),
        rate: None,
    };
    let apps = Apps::new(vec![app], &config.default_app).expect("it is the default");
    let callers = (0..callers).map(caller).collect();
    Access::new(callers, Arc::new(apps), false, &CallerMetrics::default())
}

/// What is known of a call before it is admitted.
fn record(stopping: Stopping) -> Record {
    let address = SocketAddr::from(([127, 0, 0, 1], 50_000));
    let id = RequestId::of(&HeaderMap::new());
    Record::new(id, Peer::new(address, None, stopping))
}

#[divan::bench(args = [1, 100, 10_000])]
fn with_a_key(bencher: Bencher, callers: usize) {
    let access = access(callers);
    let mut headers = HeaderMap::new();
    let key = format!("Bearer key-{}", callers / 2);
    headers.insert(AUTHORIZATION, key.parse().expect("it is ASCII"));
    let (_stop, stopping) = Stop::new();
    let record = record(stopping);
    bencher.bench(|| {
        let admitted = access.admit(Policy::of_path(PATH), black_box(&headers), &record);
        admitted.expect("it may call")
    });
}

#[divan::bench]
fn with_a_wrong_key(bencher: Bencher) {
    let access = access(100);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, "Bearer wrong".parse().expect("it is ASCII"));
    let (_stop, stopping) = Stop::new();
    let record = record(stopping);
    bencher.bench(|| {
        let denied = access.admit(Policy::of_path(PATH), black_box(&headers), &record);
        denied.err().expect("it may not")
    });
}
