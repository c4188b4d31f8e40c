//! The emulator over a real socket: paths, methods, and the ways in which
//! parameters arrive.

use std::time::Instant;

use http::header::{ALLOW, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::{BODY_LIMIT, FORM};
use super::*;

/// A sandbox that serves, and a client of it.
struct Running {
    client: Client,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    async fn start() -> Self {
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let sandbox = Sandbox::bind(anywhere, "app-token").await.expect("a port");
        let address = sandbox.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(sandbox.serve(async {
            stopped.await.ok();
        }));
        // Another test may have installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::builder().no_proxy().build().expect("a client"),
            address,
            stop,
            serving,
        }
    }

    async fn stop(self) {
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("no panic").expect("no error");
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url)
    }

    fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.request(Method::POST, "/api.php");
        request.header(CONTENT_TYPE, content_type).body(body)
    }
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("a response").status()
}

async fn reply(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body = response.bytes().await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test]
async fn parameters_arrive_in_a_form_or_in_the_query_of_a_get_or_a_post() {
    let sandbox = Running::start().await;
    let params = "op=groupadd&token=app-token";
    let query = format!("/api.php?{params}");
    let requests = [
        sandbox.post(FORM, params),
        sandbox.post("Application/X-WWW-Form-Urlencoded; charset=UTF-8", params),
        sandbox.request(Method::GET, &query),
        sandbox.request(Method::POST, &query),
    ];
    for (request, gid) in requests.into_iter().zip(102_529..) {
        let whole = json!({ "group": { "gid": gid }, "op": "groupadd", "result": true });
        assert_eq!(reply(request).await, whole);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_body_of_a_post_wins_over_its_query_and_that_of_a_get_is_not_read() {
    let sandbox = Running::start().await;
    let query = "/api.php?op=fromquery&token=app-token";
    for (method, op) in [(Method::POST, "frombody"), (Method::GET, "fromquery")] {
        let request = sandbox.request(method, query).header(CONTENT_TYPE, FORM);
        let refused = json!({ "op": op, "result": false, "error": "BADOP" });
        assert_eq!(reply(request.body("op=frombody")).await, refused);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_form_holds_no_parameters() {
    let sandbox = Running::start().await;
    let params = "op=groupadd&token=app-token";
    let missing = json!({ "op": "", "result": false, "error": "MISSINGPARA" });
    let untyped = sandbox.request(Method::POST, "/api.php").body(params);
    for request in [
        sandbox.post("text/plain", params),
        sandbox.post("application/json", r#"{"op":"groupadd"}"#),
        sandbox.post(FORM, ""),
        untyped,
    ] {
        assert_eq!(reply(request).await, missing);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_answered_like_any_others() {
    let sandbox = Running::start().await;
    let mut body = b"op=groupadd&token=app-token&name=".to_vec();
    body.extend([0xFF, 0xC0, 0x00]);
    assert_eq!(reply(sandbox.post(FORM, body)).await["result"], true);
    let query = "/api.php?op=%FF%FE&token=app-token";
    let refused = reply(sandbox.request(Method::GET, query)).await;
    assert_eq!(refused["error"], "BADOP");
    sandbox.stop().await;
}

#[tokio::test]
async fn the_state_is_shown_and_forgotten() {
    let sandbox = Running::start().await;
    let added = "op=useradd&token=app-token&addr=alice&appid=app";
    let added = reply(sandbox.post(FORM, added)).await;
    let state = reply(sandbox.request(Method::GET, "/sandbox/state")).await;
    let user = &state["users"][0];
    assert_eq!(user["address"], "alice");
    assert_eq!(user["tokens"][0]["token"], added["user"]["token"]);

    let forget = sandbox.request(Method::DELETE, "/sandbox/state");
    assert_eq!(status(forget).await, StatusCode::NO_CONTENT);
    let state = reply(sandbox.request(Method::GET, "/sandbox/state")).await;
    let nothing = json!({ "users": [], "groups": [], "messages": [] });
    assert_eq!(state, nothing);
    sandbox.stop().await;
}

#[tokio::test]
async fn another_path_is_404_and_another_method_405() {
    let sandbox = Running::start().await;
    for path in ["/", "/api.php/", "/sandbox", "/backend/"] {
        let request = sandbox.request(Method::GET, path);
        assert_eq!(status(request).await, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH] {
        let request = sandbox.request(method.clone(), "/api.php");
        let response = request.send().await.expect("a response");
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()[ALLOW], "GET, POST", "{method}");
    }
    let request = sandbox.request(Method::POST, "/sandbox/state");
    assert_eq!(status(request).await, StatusCode::METHOD_NOT_ALLOWED);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_body_may_have_8_mib_and_no_more() {
    let sandbox = Running::start().await;
    let largest = vec![b'x'; BODY_LIMIT];
    let reply = reply(sandbox.post(FORM, largest)).await;
    assert_eq!(reply["error"], "MISSINGPARA");
    for size in [BODY_LIMIT + 1, 3 * BODY_LIMIT] {
        let too_large = sandbox.post(FORM, vec![b'x'; size]);
        let status = status(too_large).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{size}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_message_of_1_mib_is_taken_when_all_of_it_is_percent_encoded() {
    let sandbox = Running::start().await;
    for addr in ["alice", "bob"] {
        let added = format!("op=useradd&token=app-token&addr={addr}&appid=app");
        assert_eq!(reply(sandbox.post(FORM, added)).await["result"], true);
    }
    let text = "%26".repeat(1024 * 1024);
    let message = format!("op=message&token=app-token&from=alice&to=bob&msg={text}");
    assert_eq!(reply(sandbox.post(FORM, message)).await["result"], true);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_peer_that_stalls_does_not_hold_up_the_shutdown() {
    let sandbox = Running::start().await;
    let stalled = TcpStream::connect(sandbox.address).await.expect("a peer");
    stalled.writable().await.expect("room to write");
    let half = b"POST /api.php HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 9\r\n\r\nop";
    assert_eq!(stalled.try_write(half).expect("all of it"), half.len());
    // A whole exchange behind it, so that the server has met the stalled peer.
    let state = sandbox.request(Method::GET, "/sandbox/state");
    assert_eq!(status(state).await, StatusCode::OK);

    let begun = Instant::now();
    sandbox.stop().await;
    assert!(begun.elapsed() < 3 * GRACE);
    drop(stalled);
}
