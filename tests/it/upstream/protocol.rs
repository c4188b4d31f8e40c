//! Which version of HTTP Mesibo is spoken to in.

use super::{delete_user, path, tls_backend_of};
use crate::support::{
    Answer, Backend, Facade,
    backend::{ANY_PORT, Accept},
    told,
};

#[tokio::test]
async fn the_version_of_http_is_chosen_in_the_tls_handshake() {
    const BOTH: &[&str] = &["h2", "http/1.1"];
    const HTTP1: &str = "POST /api.php HTTP/1.1";
    const HTTP2: &str = "HTTP/2";
    for (setting, offers, spoken) in [
        ("auto", BOTH, Some(HTTP2)),
        ("auto", &["http/1.1", "h2"], Some(HTTP1)),
        ("auto", &["http/1.1"], Some(HTTP1)),
        ("auto", &[], Some(HTTP1)),
        ("http1", BOTH, Some(HTTP1)),
        ("http1", &[], Some(HTTP1)),
        ("http1", &["h2"], None),
        ("http2", BOTH, Some(HTTP2)),
        ("http2", &["http/1.1"], None),
        ("http2", &[], None),
    ] {
        let (backend, certificate) = tls_backend_of("localhost", offers);
        let url = format!("https://localhost:{}/api.php", backend.addr().port());
        let settings = [
            ("upstream-ca-file", path(&certificate)),
            ("upstream-protocol", setting),
        ];
        let facade = Facade::with(&url, &settings);
        let result = delete_user(&facade).await;
        let lines: Vec<_> = backend.requests().into_iter().map(|it| it.line).collect();
        if let Some(spoken) = spoken {
            result.unwrap();
            assert_eq!(lines, [spoken], "{setting} {offers:?}");
        } else {
            let told = told(&result.unwrap_err());
            assert_eq!(told.2, "UPSTREAM_UNREACHABLE", "{setting} {offers:?}");
            assert!(lines.is_empty(), "{setting} {offers:?}");
        }
    }
}

#[tokio::test]
async fn without_tls_http2_is_spoken_only_with_who_is_said_to_know_it() {
    let knows = Backend::faulty_http2(ANY_PORT, |_| Answer::ok("OK"), || Accept::Serve);
    let facade = Facade::with(&knows.url(), &[("upstream-protocol", "http2")]);
    for _ in 0..3 {
        delete_user(&facade).await.unwrap();
    }
    let requests = knows.requests();
    assert!(
        requests
            .iter()
            .all(|it| it.line == "HTTP/2" && it.connection == 0)
    );

    let other = Backend::always(Answer::ok("OK"));
    let facade = Facade::with(&other.url(), &[("upstream-protocol", "auto")]);
    delete_user(&facade).await.unwrap();
    assert!(other.only_request().line.ends_with(" HTTP/1.1"));
}

#[tokio::test]
async fn many_calls_share_a_connection_of_each_thread() {
    let (backend, certificate) = tls_backend_of("localhost", &["h2"]);
    let url = format!("https://localhost:{}/api.php", backend.addr().port());
    let facade = Facade::with(&url, &[("upstream-ca-file", path(&certificate))]);
    for _ in 0..3 {
        let calls = (0..100).map(|_| delete_user(&facade));
        for result in futures_util::future::join_all(calls).await {
            result.unwrap();
        }
    }
    let requests = backend.requests();
    let last = requests.iter().map(|it| it.connection).max();
    assert_eq!(requests.len(), 300);
    // All come by one connection, and so by one thread, which has two from the moment that
    // the hundred of its first one are taken.
    assert!(last < Some(2), "{last:?}");
}
