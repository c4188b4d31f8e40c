//! Stock clients in other languages, which repeat their calls with the ids of these.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{DEADLINE, record::Record};
use crate::polyglot::{example, python};

/// How many calls each client makes at a time.
const CALLERS: usize = 24;

/// How many numbers may be without an end for both clients before more are given out.
const MOST_OPEN: usize = 3 * CALLERS;

/// The servers of the list in turn, and gRPC's own retries of what did not reach one.
const SERVICE_CONFIG: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{
        "name": [{"service": "mesibo.v1.MessageService"}],
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.02s",
            "maxBackoff": "0.2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]
        }
    }]
}"#;

/// A client that runs. Dropping it kills it.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
}

/// One in Python and one in Go, which get the same numbers.
pub struct Clients {
    all: [Client; 2],
    record: Arc<Mutex<Record>>,
    _build: TempDir,
}

impl Clients {
    /// Starts them, if their tools are installed.
    pub fn start(addresses: &[&str], record: &Arc<Mutex<Record>>) -> Option<Self> {
        let build = TempDir::new().unwrap();
        let commands = [python("../chaos/client.py")?, go(build.path())?];
        let all = commands.map(|mut command| {
            command
                .args([&addresses.join(","), SERVICE_CONFIG])
                .args([DEADLINE.as_secs_f64().to_string(), CALLERS.to_string()])
                // Go's gRPC has had retries without this since 1.40.
                .env("GRPC_GO_RETRY", "on");
            Client::start(command, Arc::clone(record))
        });
        Some(Self {
            all,
            record: Arc::clone(record),
            _build: build,
        })
    }

    /// Gives both one number after the other until `is_over`, and waits until they have
    /// definite answers to all.
    pub fn send_until(&mut self, is_over: impl Fn() -> bool) {
        let mut number = 0;
        while !is_over() {
            let open = self.record.lock().unwrap().open();
            if open > MOST_OPEN {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            number += 1;
            self.record.lock().unwrap().begin(number);
            for client in &mut self.all {
                let mut input = client.input.as_ref().unwrap();
                writeln!(input, "{number}").unwrap();
            }
        }
        for client in &mut self.all {
            drop(client.input.take());
        }
        let deadline = Instant::now() + Duration::from_mins(2);
        for client in &mut self.all {
            while client.child.try_wait().unwrap().is_none() {
                let undecided = self.record.lock().unwrap().undecided();
                assert!(
                    Instant::now() < deadline,
                    "calls have no definite answer: {undecided:?}"
                );
                thread::sleep(Duration::from_millis(50));
            }
            assert!(client.child.wait().unwrap().success());
            client.reader.take().unwrap().join().unwrap();
        }
    }
}

impl Client {
    fn start(mut command: Command, record: Arc<Mutex<Record>>) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = thread::spawn(move || {
            for line in lines {
                record.lock().unwrap().take_line(&line.unwrap());
            }
        });
        Self {
            input: child.stdin.take(),
            reader: Some(reader),
            child,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client in Go, built with the stubs of the example.
fn go(build: &Path) -> Option<Command> {
    let example = example("go")?;
    let program = build.join("client");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chaos/client.go"))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPATH", {
            let stubs = example.join("build/gopath");
            format!("{}:/usr/share/gocode", stubs.display())
        })
        .status();
    assert!(status.unwrap().success());
    Some(Command::new(program))
}
