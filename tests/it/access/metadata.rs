//! Metadata that no library would send.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tonic::{Status, body::Body};

use super::{ADMIN, Fixture, bearer, call};
use crate::support::{
    facade::{Raw, raw, soon},
    told,
};

/// Names that mean something, and others.
const NAMES: [&str; 9] = [
    "authorization",
    "mesibo-app",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "traceparent",
    "te",
    "user-agent",
    "anything-bin",
];

/// An empty message, as gRPC frames it.
const EMPTY: &[u8] = &[0; 5];

/// Any value that HTTP allows, and some that are nearly right.
fn values() -> impl Strategy<Value = HeaderValue> {
    let nearly_right = [
        bearer(ADMIN),
        bearer(&ADMIN[1..]),
        bearer(""),
        "shop".into(),
        "support".into(),
        "gzip".into(),
        "1S".into(),
        "99999999999S".into(),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_filter_map("HTTP does not allow it", |bytes| {
            HeaderValue::from_bytes(&bytes).ok()
        }),
        prop::sample::select(nearly_right.to_vec()).prop_map(|text| text.parse().unwrap()),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, HeaderValue)>> {
    vec((prop::sample::select(NAMES.to_vec()), values()), 0..6)
}

/// Lists users, with these headers besides those that gRPC needs.
async fn list(
    (client, origin): &(Raw, Uri),
    headers: &[(&'static str, HeaderValue)],
) -> (StatusCode, Option<Status>) {
    let mut request = Request::post(format!("{origin}mesibo.v1.UserService/ListUsers"))
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(Bytes::from_static(EMPTY))))
        .unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        request.headers_mut().append(name, value.clone());
    }
    let response = soon(client.request(request)).await.unwrap();
    let (head, body) = response.into_parts();
    let trailers = soon(body.collect()).await.unwrap().trailers().cloned();
    let status = |headers: &HeaderMap| Status::from_header_map(headers);
    let status = status(&head.headers).or_else(|| status(&trailers?));
    (head.status, status)
}

/// Whether the metadata has the one key, in the right place, and no app or a right one.
fn may_pass(headers: &[(&'static str, HeaderValue)]) -> bool {
    let of = |name| headers.iter().filter(move |(other, _)| *other == name);
    let keys: Vec<_> = of("authorization")
        .map(|(_, value)| value.as_bytes())
        .collect();
    let apps: Vec<_> = of("mesibo-app")
        .map(|(_, value)| value.as_bytes())
        .collect();
    keys == [bearer(ADMIN).as_bytes()]
        && (apps.is_empty() || apps == [b"shop"] || apps == [b"support"])
}

#[test]
fn whatever_the_metadata_is_the_answer_is_a_complete_status() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let fixture = Fixture::new();
    let server = raw(fixture.facade.addr());
    let config = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&headers(), |headers| {
        let sent = || fixture.shop.requests().len() + fixture.support.requests().len();
        let before = sent();
        let (http, status) = runtime.block_on(list(&server, &headers));
        prop_assert_eq!(http, StatusCode::OK);
        let status = status.ok_or_else(|| TestCaseError::fail("there is no status"))?;
        if status.code() == tonic::Code::Ok {
            prop_assert!(may_pass(&headers));
        } else {
            let (_, domain, ..) = told(&status);
            prop_assert_eq!(domain, "mesibo-grpc");
        }
        prop_assert!(sent() == before || may_pass(&headers));
        Ok(())
    });
    run.unwrap();
    let shown = bearer(ADMIN);
    let path = "/mesibo.v1.UserService/ListUsers";
    let called = call(&fixture.facade.channel, path, (Some(&shown), None));
    runtime.block_on(called).unwrap();
}
