//! How often a caller may call, and how apps keep out of each other's way.

use std::time::Duration;

use tokio::time::sleep;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{ADMIN, Fixture, bearer, call};
use crate::support::{Answer, Backend, EVERYTHING, facade::soon, telling, told};

const LIST: &str = "/mesibo.v1.UserService/ListUsers";
const SEND: &str = "/mesibo.v1.MessageService/SendMessage";

#[tokio::test]
async fn a_rate_lets_a_burst_through_and_then_so_many_a_second() {
    let key = "mgk_s3ntinel_slow";
    let hash = mesibo_grpc::access::key::KeyHash::of(key.as_bytes());
    let slow = format!(
        "[callers.slow]\nkeys = [\"{hash}\"]\nmay-call = [\"mesibo.v1.UserService/*\"]\n\
         rate = 0.5\nburst = 3\n"
    );
    let of_app = "rate = 0.5\nburst = 3\n";
    for (tables, key, limit) in [(&*slow, key, "caller"), (of_app, ADMIN, "app")] {
        let fixture = Fixture::with(Answer::ok(EVERYTHING), tables, &[]);
        let channel = &fixture.facade.channel;
        let shown = bearer(key);
        let list = async || call(channel, LIST, (Some(&shown), None)).await;
        // What is denied for another reason does not count.
        for app in ["support", "unknown"] {
            let refused = call(channel, LIST, (Some(&shown), Some(app))).await;
            assert_eq!(refused.is_err(), key != ADMIN || app == "unknown");
        }
        for _ in 0..3 {
            list().await.unwrap();
        }
        let status = list().await.unwrap_err();
        let expected = [("limit", limit)];
        assert_eq!(
            told(&status),
            telling(
                Code::ResourceExhausted,
                "mesibo-grpc",
                "RATE_LIMITED",
                &expected
            )
        );
        let wait = status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .unwrap();
        assert!((1..=2000).contains(&wait.as_millis()), "{wait:?}");
        assert_eq!(fixture.shop.requests().len(), 3);

        // Others are not held up.
        let elsewhere = call(channel, LIST, (Some(&bearer(ADMIN)), Some("support"))).await;
        elsewhere.unwrap();
        sleep(wait + Duration::from_millis(100)).await;
        list().await.unwrap();
    }
}

#[tokio::test]
async fn an_app_that_is_down_does_not_hold_up_another() {
    let nowhere = "http://127.0.0.1:1/";
    let shop = Backend::always(Answer::ok(EVERYTHING));
    let fixture = Fixture::at(nowhere, shop, "", &[]);
    let channel = &fixture.facade.channel;
    let shown = bearer(ADMIN);
    let mut reasons = Vec::new();
    for _ in 0..12 {
        let status = call(channel, LIST, (Some(&shown), None)).await.unwrap_err();
        reasons.push(told(&status).2);
        let other = call(channel, LIST, (Some(&shown), Some("support"))).await;
        other.unwrap();
    }
    assert_eq!(reasons[0], "UPSTREAM_UNREACHABLE");
    assert_eq!(reasons.last().unwrap(), "UPSTREAM_DOWN");
}

#[tokio::test]
async fn an_app_that_is_busy_does_not_hold_up_another() {
    let limits = "upstream-max-in-flight = 1\nupstream-max-wait = \"1ms\"\n";
    let fixture = Fixture::with(Answer::Hang, limits, &[]);
    let channel = &fixture.facade.channel;
    let shown = bearer(ADMIN);
    let busy = tokio::spawn({
        let (channel, shown) = (channel.clone(), shown.clone());
        async move { call(&channel, LIST, (Some(&shown), None)).await }
    });
    soon(fixture.shop.got(1)).await;
    let status = call(channel, LIST, (Some(&shown), None)).await.unwrap_err();
    assert_eq!(told(&status).2, "OVERLOADED");
    let other = call(channel, LIST, (Some(&shown), Some("support"))).await;
    other.unwrap();
    busy.abort();
    let refused = call(channel, SEND, (Some(&shown), Some("support"))).await;
    assert_eq!(told(&refused.unwrap_err()).2, "INVALID_REQUEST");
}

#[tokio::test]
async fn calls_outside_of_the_contract_count_for_the_rate_of_their_caller() {
    let key = "mgk_s3ntinel_slow";
    let hash = mesibo_grpc::access::key::KeyHash::of(key.as_bytes());
    let slow = format!(
        "[callers.slow]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\nrate = 0.001\nburst = 2\n"
    );
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &slow, &[]);
    let shown = bearer(key);
    let code = async |path| {
        let called = call(&fixture.facade.channel, path, (Some(&shown), None)).await;
        called.unwrap_err().code()
    };
    assert_eq!(code("/nothing.Here/At").await, Code::Unimplemented);
    assert_eq!(code("/nothing.Here/At").await, Code::Unimplemented);
    for path in [
        "/nothing.Here/At",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        LIST,
    ] {
        assert_eq!(code(path).await, Code::ResourceExhausted, "{path}");
    }
}
