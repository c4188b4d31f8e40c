//! The example for browsers, in Chromium.

use std::{
    fs,
    process::{Command, Stdio},
};

use axum::{Router, http::header::CONTENT_TYPE, response::Html, routing};
use mesibo_grpc::access::key::KeyHash;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{WALK, example};
use crate::support::{Process, backend::ANY_PORT, sandbox_state, say, settings_file, skip};

const KEY: &str = "mgk_s3ntinel_page";

/// Longest time that the page takes, in milliseconds, of which Chromium waits for none.
const BUDGET: &str = "--virtual-time-budget=30000";

/// The page, on an origin of its own.
struct Page {
    origin: String,
    _server: AbortOnDropHandle<()>,
}

impl Page {
    /// `None` if there is no page, or no browser.
    async fn serve() -> Option<Self> {
        let folder = example("browser")?.join("build/page");
        if Command::new("chromium").arg("--version").output().is_err() {
            skip("chromium, which the Debian package chromium has");
            return None;
        }
        let [html, script] =
            ["index.html", "page.js"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
        let script = move || async { ([(CONTENT_TYPE, "text/javascript")], script) };
        let router = Router::new()
            .route("/", routing::get(move || async { Html(html) }))
            .route("/page.js", routing::get(script));
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Some(Self {
            origin,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// What the page shows of its calls of a server, and its state: done or failed.
    async fn runs(&self, address: &str, key: &str) -> (String, String) {
        let url = format!("{}/#server=http://{address}&key={key}&run", self.origin);
        let printed = tokio::task::spawn_blocking(move || {
            let profile = tempfile::tempdir().unwrap();
            let output = Command::new("chromium")
                .args(["--headless", "--no-sandbox", "--disable-gpu"])
                .args(["--disable-dev-shm-usage", "--no-first-run", BUDGET])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .args(["--dump-dom", &url])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        let printed = printed.await.unwrap();
        say(&format!("\n{printed}"));
        let (_, output) = printed.split_once("<output data-state=\"").unwrap();
        let (state, output) = output.split_once("\">").unwrap();
        let (text, _) = output.split_once("</output>").unwrap();
        let text = text.replace("&lt;", "<").replace("&gt;", ">");
        (text.replace("&amp;", "&"), state.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_makes_every_call_if_the_server_lists_its_origin_and_knows_its_key() {
    let Some(page) = Page::serve().await else {
        return;
    };
    let callers = settings_file(&format!(
        "[callers.page]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\nread-tokens = true\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let config = ["--config", callers.path().to_str().unwrap()];
    let args = [&config[..], &["--cors-origins", &page.origin]].concat();
    let sandbox = Process::sandbox_with(&args);
    let (text, state) = page.runs(&sandbox.address, KEY).await;
    assert_eq!(text, WALK.replace("LANGUAGE", "browser"));
    assert_eq!(state, "done");
    let world = sandbox_state(sandbox.upstream()).await;
    assert_eq!(world["users"], json!([]));
    assert_eq!(world["messages"].as_array().unwrap().len(), 2);

    let (text, state) = page.runs(&sandbox.address, "").await;
    assert_eq!(text, "UNAUTHENTICATED: NO_CREDENTIALS from mesibo-grpc\n");
    assert_eq!(state, "failed");

    // A server that lists another origin.
    let args = [
        &config[..],
        &["--cors-origins", "https://console.example.com"],
    ]
    .concat();
    let other = Process::sandbox_with(&args);
    let (text, state) = page.runs(&other.address, KEY).await;
    assert!(text.contains("Failed to fetch"), "{text}");
    assert_eq!(state, "failed");
    let world = sandbox_state(other.upstream()).await;
    assert_eq!(world["users"], json!([]), "nothing was carried out");
}
