//! The statuses that failures become.

use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use divan::Bencher;
use http::HeaderMap;
use mesibo::{
    Client, Error, Failure, Operation,
    operation::{Message, Recipient, op},
    reply::Sent,
};
use mesibo_grpc::{
    call::RequestId,
    config::Config,
    status::{self, ErrorCodes, Rule, Violations},
};
use tokio::{runtime::Runtime, time::Instant};

#[divan::bench]
fn of_a_refusal(bencher: Bencher) {
    let (error, codes) = (refusal(), ErrorCodes::default());
    let id = RequestId::of(&HeaderMap::new());
    bencher.bench(|| status::from_error(black_box(&error), &codes).into_status(&id));
}

#[divan::bench]
fn of_an_unknown_outcome(bencher: Bencher) {
    let codes = ErrorCodes::default();
    let error = Error::out_of_time(&operation(), 1, true);
    let id = RequestId::of(&HeaderMap::new());
    bencher.bench(|| status::from_error(black_box(&error), &codes).into_status(&id));
}

#[divan::bench(args = [1, 10])]
fn of_broken_rules(bencher: Bencher, rules: usize) {
    let id = RequestId::of(&HeaderMap::new());
    bencher.with_inputs(|| rules).bench_values(|rules| {
        let mut violations = Violations::default();
        for _ in 0..rules {
            let violation = || ("from_address".into(), "must not be empty".into());
            violations.add(Rule::Required, violation);
        }
        status::invalid_request(op::MESSAGE, violations).into_status(&id)
    });
}

fn operation() -> Operation<Sent> {
    Operation::message(&Message {
        from: "alice",
        recipient: Recipient::To("bob"),
        kind: None,
        expiry_seconds: None,
        msg: "Hello",
    })
}

/// A refusal, from a backend that refuses once: only the client makes one.
fn refusal() -> Error {
    let backend = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", backend.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let (mut stream, _) = backend.accept()?;
        // The request is shorter, and written at once.
        let length = stream.read(&mut [0; 4096])?;
        assert_ne!(length, 0, "there is a request");
        let reply = r#"{"op":"message","result":false,"error":"NOUSER"}"#;
        let length = reply.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{reply}"
        )
    });
    let config = Config::read(|setting| match setting.name {
        "app-token" => Some("token".to_owned()),
        "upstream-url" => Some(url.clone()),
        _ => None,
    });
    let config = config.expect("the settings are right");
    let runtime = Runtime::new().expect("threads can be made");
    let error = runtime.block_on(async {
        let app = config.apps.into_iter().next().expect("there is one app");
        let client = Client::new(app.upstream, ());
        let client = client.expect("the settings are right");
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = client.call(operation(), deadline).await;
        answer.expect_err("the backend refuses")
    });
    assert!(matches!(error.failure(), Failure::Refused { .. }));
    error
}
