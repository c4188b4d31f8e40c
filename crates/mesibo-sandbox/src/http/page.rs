//! The page. Its files are embedded, and it loads nothing from any other server.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderName, StatusCode};

/// The Content-Security-Policy: only what the sandbox itself serves is loaded, run or
/// requested.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $media:expr) => {
        ($name, $media, include_str!(concat!("../../assets/", $name)))
    };
}

const ASSETS: [(&str, &str, &str); 11] = [
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("main.js", SCRIPT),
    asset!("api.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("list.js", SCRIPT),
    asset!("messages.js", SCRIPT),
    asset!("requests.js", SCRIPT),
    asset!("people.js", SCRIPT),
    asset!("faults.js", SCRIPT),
    asset!("dialogs.js", SCRIPT),
];

pub(super) async fn index() -> Response {
    serve(
        "text/html; charset=utf-8",
        include_str!("../../assets/index.html"),
    )
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(asset, ..)| *asset == name) {
        Some((_, media, text)) => serve(media, text),
        None => (StatusCode::NOT_FOUND, "no such part of the page\n").into_response(),
    }
}

fn serve(media: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, media),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
