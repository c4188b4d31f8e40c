//! A browser with the page of a sandbox in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::Running;

/// One browser at a time: more would only slow each other down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    Light,
    Dark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Wide,
    Narrow,
}

/// A page that is open. [`Page::close`] ends the browser and the sandbox.
pub(super) struct Page {
    pub(super) sandbox: Running,
    pub(super) client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The driver. The process group that it leads, the browser included, is killed when
/// this is dropped: a test that fails leaves nothing running either.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It fails if all of them have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Where Debian puts the browser, its driver, and npm the rules for accessibility; or
/// what is not there.
pub(super) fn tools() -> Result<[PathBuf; 3], String> {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/browser/node_modules/axe-core/axe.min.js");
    let tools = ["/usr/bin/chromium", "/usr/bin/chromedriver"].map(PathBuf::from);
    let [chromium, driver] = tools;
    let tools = [chromium, driver, axe];
    match tools.iter().find(|tool| !tool.exists()) {
        None => Ok(tools),
        Some(missing) => Err(format!(
            "lacks {}: install chromium and chromium-driver, and run npm ci in \
             tests/browser",
            missing.display()
        )),
    }
}

impl Page {
    /// Opens the page of a new sandbox, or says why that is skipped.
    pub(super) async fn open(theme: Theme, width: Width) -> Option<Self> {
        let [chromium, driver, _] = match tools() {
            Ok(tools) => tools,
            Err(lacks) => {
                assert!(std::env::var_os("REQUIRE_TOOLS").is_none(), "{lacks}");
                // Even if the test passes.
                let said = format!("SKIPPED: {lacks}\n");
                std::io::stderr()
                    .write_all(said.as_bytes())
                    .expect("a reader");
                return None;
            }
        };
        let turn = ONE_AT_A_TIME.lock().await;
        let sandbox = Running::start().await;
        let profile = tempfile::tempdir().expect("a folder");
        let (driver, port) = start_driver(&driver).await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let capabilities = capabilities(&chromium, profile.path(), theme, width);
        builder.capabilities(capabilities.as_object().cloned().expect("an object"));
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await;
        let page = Self {
            client: client.expect("a session"),
            sandbox,
            _driver: driver,
            _profile: profile,
            _turn: turn,
        };
        page.load("/").await;
        Some(page)
    }

    pub(super) async fn close(self) {
        self.client.close().await.expect("the session ends");
        self.sandbox.stop().await;
    }

    /// Loads a path, and waits until the page hears of changes.
    pub(super) async fn load(&self, path: &str) {
        self.client
            .goto(&self.sandbox.url(path))
            .await
            .expect("the page");
        self.until("return document.querySelector('#live').textContent === 'live'")
            .await;
    }

    pub(super) async fn run(&self, script: &str) -> Value {
        let result = self.client.execute(script, Vec::new()).await;
        result.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a script returns true.
    pub(super) async fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.run(script).await != json!(true) {
            if begun.elapsed() > PATIENCE {
                let text = self.run("return document.body.innerText").await;
                panic!("in vain: {script}\n{}", text.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an element is visible, and its text contains another.
    pub(super) async fn shows(&self, css: &str, text: &str) {
        self.until(&format!("return {}", contains(css, text))).await;
    }

    /// Waits until an element's text does not contain another any longer.
    pub(super) async fn hides(&self, css: &str, text: &str) {
        self.until(&format!("return !{}", contains(css, text)))
            .await;
    }

    pub(super) async fn find(&self, css: &str) -> Element {
        let found = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub(super) async fn click(&self, css: &str) {
        let clicked = self.find(css).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Presses the button with this text, below an element.
    pub(super) async fn press(&self, css: &str, text: &str) {
        let button = format!(
            "return [...document.querySelector({}).querySelectorAll('button')]
                .find((button) => button.innerText === {}) ?? null",
            json!(css),
            json!(text)
        );
        self.until(&button.replace("?? null", "!== undefined"))
            .await;
        let button = self.run(&button).await;
        // The protocol's reference to an element is an object with one field.
        let id = button
            .as_object()
            .and_then(|fields| fields.values().next()?.as_str());
        let id = id.expect("an element").to_owned();
        let button = Element::from_element_id(self.client.clone(), id.into());
        let pressed = button.click().await;
        pressed.unwrap_or_else(|error| panic!("{css} {text}: {error}"));
    }

    /// Fills in a field of a dialog.
    pub(super) async fn fill(&self, dialog: &str, name: &str, text: &str) {
        let field = self.find(&format!("#{dialog} [name={name}]")).await;
        field.clear().await.expect("an empty field");
        field.send_keys(text).await.expect("a filled field");
    }

    pub(super) async fn choose(&self, css: &str, value: &str) {
        let field = self.find(css).await;
        field.select_by_value(value).await.expect("a choice");
    }

    /// Presses the button that ends a dialog, and waits until it is closed.
    pub(super) async fn submit(&self, dialog: &str, text: &str) {
        self.press(&format!("#{dialog}"), text).await;
        let closed = format!("return !document.getElementById({}).open", json!(dialog));
        self.until(&closed).await;
    }
}

/// A condition: that the element is visible, and its text contains another.
fn contains(css: &str, text: &str) -> String {
    let (css, text) = (json!(css), json!(text));
    format!(
        "((element) => element !== null && element.checkVisibility()
            && element.innerText.includes({text}))(document.querySelector({css}))"
    )
}

fn capabilities(chromium: &Path, profile: &Path, theme: Theme, width: Width) -> Value {
    let scheme = u8::from(theme == Theme::Light);
    let mut options = json!({
        "binary": chromium,
        "args": [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1440,900",
            "--lang=en-US",
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--user-data-dir={}", profile.display()),
        ],
    });
    if width == Width::Narrow {
        let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 1.5 });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    json!({ "goog:chromeOptions": options })
}

/// Starts the driver on a port that the system chooses, and reads which one.
async fn start_driver(path: &Path) -> (Driver, u16) {
    let mut driver = Command::new(path)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the driver");
    let stdout = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.expect("a line") {
        let port = line
            .rsplit("on port ")
            .next()
            .filter(|_| line.contains("started"));
        if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
            // It must not stall on a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (Driver(driver), port);
        }
    }
    panic!("the driver did not say its port");
}
