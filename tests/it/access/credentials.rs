//! How callers say who they are, and what needs no word.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{ADMIN, Fixture, ORDERS, ORDERS_NEXT, READER, bearer, call};
use crate::support::{Answer, EVERYTHING, told};

const LIST: &str = "/mesibo.v1.UserService/ListUsers";

#[tokio::test]
async fn a_key_comes_with_its_scheme_and_nothing_else() {
    let fixture = Fixture::new();
    let channel = &fixture.facade.channel;
    // One for now, and one for later.
    for key in [ORDERS, ORDERS_NEXT] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let shown = format!("{scheme} {key}");
            call(channel, LIST, (Some(&shown), None)).await.unwrap();
        }
    }
    for shown in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        ORDERS.into(),
        format!("Basic {ORDERS}"),
        format!("Bearer{ORDERS}"),
        format!("Bearer  {ORDERS}"),
        format!("Bearer {ORDERS} {ORDERS}"),
        format!("Bearer {ORDERS},"),
        format!("Bearer {}", "x".repeat(8_000)),
        "Béarer s3ntinel".into(),
    ] {
        let called = call(channel, LIST, (Some(&shown), None)).await;
        let (code, _, reason, _) = told(&called.unwrap_err());
        assert_eq!(
            (code, &*reason),
            (Code::Unauthenticated, "INVALID_KEY"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn what_there_is_not_is_told_to_callers_alone() {
    let fixture = Fixture::new();
    let channel = &fixture.facade.channel;
    for path in [
        "/mesibo.v1.UserService/Nothing",
        "/mesibo.v2.UserService/ListUsers",
    ] {
        let called = call(channel, path, (None, None)).await;
        assert_eq!(told(&called.unwrap_err()).2, "NO_CREDENTIALS", "{path}");
        let called = call(channel, path, (Some(&bearer(READER)), None)).await;
        assert_eq!(told(&called.unwrap_err()).2, "UNKNOWN_METHOD", "{path}");
    }
}

#[tokio::test]
async fn health_needs_no_key() {
    let fixture = Fixture::new();
    let mut health = HealthClient::new(fixture.facade.channel.clone());
    let request = HealthCheckRequest::default();
    health.check(request.clone()).await.unwrap();
    let mut watch = health.watch(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    // A name that only begins like it is another service.
    let path = "/grpc.health.v1.HealthX/Check";
    let called = call(&fixture.facade.channel, path, (None, None)).await;
    assert_eq!(told(&called.unwrap_err()).2, "NO_CREDENTIALS");
}

#[tokio::test]
async fn reflection_is_for_callers_unless_it_is_open() {
    for (open, expected) in [
        ("false", Code::Unauthenticated),
        ("true", Code::InvalidArgument),
    ] {
        let settings = [("open-reflection", open)];
        let fixture = Fixture::with(Answer::ok(EVERYTHING), "", &settings);
        let channel = &fixture.facade.channel;
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            let called = call(channel, &path, (None, None)).await;
            assert_eq!(called.unwrap_err().code(), expected, "{path}");
            // It answers, that the empty request asks for nothing.
            let called = call(channel, &path, (Some(&bearer(ADMIN)), None)).await;
            assert_eq!(called.unwrap_err().code(), Code::InvalidArgument, "{path}");
        }
    }
}
