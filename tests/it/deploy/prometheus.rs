//! A real Prometheus.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use form_urlencoded::byte_serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{list, path, tool};
use crate::support::get;

/// The Debian package.
pub const PACKAGE: &str = "the Debian package prometheus";

/// A running Prometheus. Dropping it kills it.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Scrapes a server every second, and watches over the alerts, if it is installed.
    pub fn start(server: SocketAddr) -> Option<Self> {
        let mut command = tool("prometheus", &[], PACKAGE)?;
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n\
             - job_name: mesibo-grpc\n\
             \x20 static_configs: [targets: [\"{server}\"]]\n",
            path("prometheus/rules.yaml").display()
        );
        let file = directory.path().join("prometheus.yaml");
        fs::write(&file, config).unwrap();
        let mut child = command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let kept = Arc::clone(&log);
        // It reads on to the end, so that Prometheus can write.
        thread::spawn(move || {
            let mut listens = None;
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                    listens = address.parse().ok();
                } else if line.contains("ready to receive web requests") {
                    let _ = tell.send(listens.unwrap());
                }
                kept.lock().unwrap().extend([&line, "\n"]);
            }
        });
        let address = told
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("it is not ready:\n{}", log.lock().unwrap()));
        Some(Self {
            child,
            address,
            _directory: directory,
        })
    }

    /// What its API has at a path.
    pub async fn api(&self, path: &str) -> Value {
        let body = get(self.address, &format!("/api/v1/{path}")).await;
        let answer: Value =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The series that an expression gives.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = byte_serialize(expression.as_bytes()).collect();
        let data = self.api(&format!("query?query={encoded}")).await;
        data["result"].as_array().unwrap().clone()
    }

    /// Waits until an expression gives something.
    pub async fn has(&self, expression: &str) {
        wait(expression, async || {
            !self.query(expression).await.is_empty()
        })
        .await;
    }

    /// The rules, once each has been evaluated.
    pub async fn evaluated_rules(&self) -> Vec<Value> {
        let rules = async || list(&self.api("rules").await, "/groups/0/rules").to_vec();
        let evaluated = async || rules().await.iter().all(|rule| rule["health"] != "unknown");
        wait("an evaluation of the rules", evaluated).await;
        rules().await
    }
}

/// Waits until something holds.
async fn wait(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_mins(1), wait)
        .await
        .unwrap_or_else(|_| panic!("{what} does not come"));
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
