//! Web pages: those of others learn nothing and do nothing.

use http::Method;

use super::{Arrived, ask, post};
use crate::{
    access::{ADMIN, Fixture, bearer},
    support::{Answer, Backend, EVERYTHING, Facade},
};

const LIST: &str = "/mesibo.v1.UserService/ListUsers";
const CONSOLE: &str = "https://console.example.com";

/// The headers that let a page read a response.
fn cors(response: &Arrived) -> Vec<&str> {
    let names = response.headers.keys().map(http::HeaderName::as_str);
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

#[tokio::test]
async fn a_name_that_was_rebound_gets_no_answer_without_callers() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    for content_type in [
        "application/json",
        "application/proto",
        "application/grpc-web",
        "application/grpc-web-text",
    ] {
        for host in ["attacker.example", "localhost.attacker.example:50051"] {
            let headers = [("content-type", content_type), ("host", host)];
            let told = ask(facade.addr(), true, Method::POST, LIST, &headers, "{}").await;
            assert_eq!(told.status, 403, "{content_type} {host}");
            assert_eq!(told.text().lines().count(), 1);
        }
    }
    assert!(backend.requests().is_empty());
    let localhost = format!("localhost:{}", facade.addr().port());
    for host in ["127.0.0.1", "[::1]:50051", &localhost] {
        let told = post(facade.addr(), LIST, &[("host", host)], "{}").await;
        assert_eq!(told.status, 200, "{host}: {}", told.text());
    }

    // A key is what a page has not: with callers, the server has any name.
    let fixture = Fixture::with(Answer::ok(EVERYTHING), "", &[]);
    let key = bearer(ADMIN);
    let headers = [("host", "facade.example"), ("authorization", &key)];
    let told = post(fixture.facade.addr(), LIST, &headers, "{}").await;
    assert_eq!(told.status, 200, "{}", told.text());
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_and_may_read_nothing() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = [("cors-origins", CONSOLE)];
    for settings in [&[][..], &settings] {
        let facade = Facade::with(&backend.url(), settings);
        for origin in ["https://attacker.example", "null", "http://127.0.0.1:1"] {
            let headers = [("origin", origin)];
            let told = post(facade.addr(), LIST, &headers, "{}").await;
            assert_eq!(told.status, 403, "{origin}");
            assert!(cors(&told).is_empty(), "{:?}", told.headers);
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type"),
            ];
            let told = ask(facade.addr(), true, Method::OPTIONS, LIST, &headers, "").await;
            assert_eq!(told.status, 405, "{origin}");
            assert!(cors(&told).is_empty(), "{:?}", told.headers);
        }
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_page_of_an_origin_of_the_settings_makes_calls_and_reads_answers() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("cors-origins", CONSOLE)]);
    let headers = [
        ("origin", CONSOLE),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "content-type,connect-protocol-version",
        ),
    ];
    let asked = ask(facade.addr(), true, Method::OPTIONS, LIST, &headers, "").await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some(CONSOLE));
    assert_eq!(asked.header("access-control-allow-methods"), Some("POST"));
    let allowed = asked.header("access-control-allow-headers").unwrap();
    for name in [
        "content-type",
        "connect-protocol-version",
        "authorization",
        "x-grpc-web",
    ] {
        assert!(allowed.split(", ").any(|it| it == name), "{allowed}");
    }
    assert!(backend.requests().is_empty());
    for (body, status) in [("{}", 200), ("{", 400)] {
        let told = post(facade.addr(), LIST, &[("origin", CONSOLE)], body).await;
        assert_eq!(told.status, status);
        assert_eq!(told.header("access-control-allow-origin"), Some(CONSOLE));
        let exposed = told.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-request-id"), "{exposed}");
        assert!(told.header("access-control-allow-credentials").is_none());
        let vary = told.headers.get_all("vary").iter();
        assert!(
            vary.filter_map(|it| it.to_str().ok())
                .any(|it| it == "origin")
        );
    }
    // Without the question of a browser there is no header.
    assert!(cors(&post(facade.addr(), LIST, &[], "{}").await).is_empty());
}
