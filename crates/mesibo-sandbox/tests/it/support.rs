//! A sandbox that serves, and a client of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mesibo_sandbox::{Builder, Sandbox};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a client waits for anything: long enough for the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct Running {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

/// A client that neither follows redirects nor repeats a request.
pub(crate) fn client() -> Client {
    // Another test may have installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = change(Sandbox::builder());
        let sandbox = builder.bind().await.expect("a port");
        let address = sandbox.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(sandbox.serve(async {
            stopped.await.ok();
        }));
        Self {
            client: client(),
            address,
            stop,
            serving,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("no panic").expect("no error");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request to the backend API, in the default world.
    pub(crate) fn op(&self, form: &str) -> RequestBuilder {
        self.op_in("default", form)
    }

    pub(crate) fn op_in(&self, world: &str, form: &str) -> RequestBuilder {
        let token = mesibo_sandbox::Tokens::Any.of_world(world);
        let token = token.expect("the name of a world");
        self.form(&format!("token={token}&{form}"))
    }

    pub(crate) fn form(&self, form: &str) -> RequestBuilder {
        let request = self.request(Method::POST, "/api.php");
        request.header("content-type", FORM).body(form.to_owned())
    }

    /// The reply to an operation that must succeed.
    pub(crate) async fn ok(&self, form: &str) -> Value {
        self.ok_in("default", form).await
    }

    pub(crate) async fn ok_in(&self, world: &str, form: &str) -> Value {
        let reply = json(self.op_in(world, form)).await;
        assert_eq!(reply["result"], true, "{form}: {reply}");
        reply
    }

    /// The error code of an operation that must fail.
    pub(crate) async fn error(&self, form: &str) -> String {
        let reply = json(self.op(form)).await;
        assert_eq!(reply["result"], false, "{form}: {reply}");
        reply["error"].as_str().unwrap_or_default().to_owned()
    }

    /// What the sandbox's own API answers.
    pub(crate) async fn get(&self, path: &str) -> Value {
        json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Response {
        let request = self.request(method, path).body(body.to_string());
        request.send().await.expect("a response")
    }

    /// Sends a body that must be taken.
    pub(crate) async fn put(&self, path: &str, body: &Value) {
        let response = self.send(Method::PUT, path, body).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path} {body}: {status} {text}");
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) {
        let response = self.send(Method::POST, path, body).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path} {body}: {status} {text}");
    }

    pub(crate) async fn delete(&self, path: &str) {
        let status = status(self.request(Method::DELETE, path)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{path}");
    }

    pub(crate) async fn add_users(&self, addresses: &[&str]) {
        for address in addresses {
            self.ok(&format!("op=useradd&addr={address}&appid=demo"))
                .await;
        }
    }
}

pub(crate) async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("a response").status()
}

pub(crate) async fn json(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("a response");
    let status = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// A function for a hook, and what it was called with.
pub(crate) fn calls() -> (impl Fn(&str) + Send + Sync + 'static, Calls) {
    let calls = Calls::default();
    let sink = calls.clone();
    let hook = move |name: &str| sink.0.lock().unwrap().push(name.to_owned());
    (hook, calls)
}

#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<std::sync::Mutex<Vec<String>>>);

impl Calls {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
