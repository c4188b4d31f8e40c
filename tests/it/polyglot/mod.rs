//! Callers in other languages, with their own tools: the programs of `examples/`,
//! and libraries that look at health, reflection and the service config.

mod browser;
mod load;

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{HeaderMap, Request};
use mesibo_grpc::{
    access::key::KeyHash,
    proto::user_service_server::UserServiceServer,
    server::{RequestBody, Services},
    service::{ServiceMetrics, Upstream, user::Users},
    telemetry::audit::AuditLog,
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tonic::server::NamedService;
use tower::Service;

use crate::faults::backend::{Fate, Faults};
use crate::support::{
    Answer, Backend, Facade, Process,
    backend::ANY_PORT,
    facade,
    process::{PROGRAM, command},
    sandbox_state, say, settings_file, skip, write_private,
};
use crate::tls::authority::{Authority, Files};

/// What every example prints, but for the name of its language.
const WALK: &str = "\
created alice 👩‍🚀 &=+% LANGUAGE and בוב 🦀 LANGUAGE
the group has alice 👩‍🚀 &=+% LANGUAGE and בוב 🦀 LANGUAGE
sent a message to to_address, with an id
sent a message to gid, with an id
edited the user and the group
found alice 👩‍🚀 &=+% LANGUAGE, with a token
found בוב 🦀 LANGUAGE, without a token
INVALID_ARGUMENT: INVALID_REQUEST from mesibo-grpc
  address: must not be empty
  token_expiry: must be positive and whole minutes, at most 315576000000 s
deleted the users and the group
NOT_FOUND: NOUSER from mesibo.com
";

/// What the examples that have a stream print besides, before they edit anything.
const STREAMED: &str = "\
streamed 3 of 4 messages
INVALID_ARGUMENT: INVALID_REQUEST from mesibo-grpc
  message: must have from 1 to 1048576 bytes
";

/// The examples that have a stream.
const STREAMING: [&str; 2] = ["python", "go"];

/// What every example sends.
const TEXT: &str = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line";

const SERVICE_CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/service-config.json");

/// The folder of an example, if it is built.
pub fn example(language: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(language);
    if folder.join("build").exists() {
        return Some(folder);
    }
    skip(&format!(
        "the example in {language}: examples/{language}/build.sh makes it, or says what to install"
    ));
    None
}

/// Runs an example with a variable of the environment, and shows what it prints.
fn run(folder: &Path, address: &str, variable: Option<(&str, &str)>) -> Output {
    let mut example = Command::new(folder.join("run.sh"));
    example.arg(address).envs(variable);
    let output = example.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    say(&format!("\n{}:\n{printed}", folder.display()));
    output
}

/// Every RPC, and what is left of it in the sandbox.
async fn walks(language: &str) {
    let Some(folder) = example(language) else {
        return;
    };
    let sandbox = Process::sandbox();
    walk(language, &folder, &sandbox, &sandbox.address, None).await;
}

/// The same over TLS, by the authorities that a variable names.
async fn walks_over_tls(language: &str) {
    let Some(folder) = example(language) else {
        return;
    };
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&["localhost"]), "");
    let trusted = files.path("authority.crt");
    write_private(&trusted, &authority.pem);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| files.path(name));
    let sandbox = Process::sandbox_with(&[
        "--tls-certificate-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
    ]);
    let (_, port) = sandbox.address.rsplit_once(':').unwrap();
    let url = format!("https://localhost:{port}");
    let trusted = ("MESIBO_GRPC_CA_FILE", trusted.to_str().unwrap());
    walk(language, &folder, &sandbox, &url, Some(trusted)).await;
}

async fn walk(
    language: &str,
    folder: &Path,
    sandbox: &Process,
    url: &str,
    variable: Option<(&str, &str)>,
) {
    let output = run(folder, url, variable);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let mut expected = WALK.replace("LANGUAGE", language);
    let streams = STREAMING.contains(&language);
    if streams {
        let end = expected.find("edited").unwrap();
        expected.insert_str(end, STREAMED);
    }
    assert_eq!(printed, expected, "{output:?}");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let state = sandbox_state(sandbox.upstream()).await;
    assert_eq!(state["users"], json!([]));
    assert_eq!(state["groups"], json!([]));
    let (messages, notes) = state["messages"].as_array().unwrap().split_at(2);
    for message in messages {
        assert_eq!(message["from"], format!("alice 👩‍🚀 &=+% {language}"));
        assert_eq!(message["msg"], TEXT);
    }
    let mut notes: Vec<_> = notes
        .iter()
        .filter_map(|note| note["msg"].as_str())
        .collect();
    notes.sort_unstable();
    let streamed: &[_] = if streams {
        &["one", "three", "two"]
    } else {
        &[]
    };
    assert_eq!(notes, streamed);
    assert_eq!(messages[0]["to"], json!([format!("בוב 🦀 {language}")]));
    assert!(messages[1]["gid"].is_u64());
}

/// A deadline and the caller's key go along, and an unexpected error is explained.
fn explains(language: &str) {
    let Some(folder) = example(language) else {
        return;
    };
    let busy = Backend::always(Answer::http(503, &[("retry-after", "7")], ""));
    let headers = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let facade = listening_in(&busy, Arc::clone(&headers));

    let output = run(
        &folder,
        &facade.addr().to_string(),
        Some(("MESIBO_GRPC_KEY", "k3y")),
    );
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let expected = "UNAVAILABLE: UPSTREAM_HTTP_STATUS from mesibo-grpc\n  repeat it in 7 s\n";
    assert_eq!(printed, expected, "{output:?}");
    assert_eq!(output.status.code(), Some(1));

    let headers = headers.lock().unwrap();
    assert_eq!(headers.len(), 1);
    let timeout = match language {
        "shell" => "connect-timeout-ms",
        _ => "grpc-timeout",
    };
    assert!(headers[0].contains_key(timeout), "{headers:?}");
}

/// A facade that takes the key `k3y` alone, and keeps the headers of the calls of users
/// that it lets in.
fn listening_in(backend: &Backend, headers: Arc<Mutex<Vec<HeaderMap>>>) -> Facade {
    let file = settings_file(&format!(
        "[callers.example]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(b"k3y")
    ));
    let settings = [("config", file.path().to_str().unwrap())];
    let config = facade::config(&backend.url(), &settings);
    let users = Users::new(
        Upstream::new(
            config.error_codes.clone(),
            ServiceMetrics::default(),
            AuditLog::start(config.audit.clone(), config.log_format).unwrap(),
        ),
        config.token_deletion,
        config.streams,
    );
    let service = UserServiceServer::new(users);
    Facade::serving(
        Services::default().with(ListeningIn { service, headers }),
        config,
    )
}

/// A service that keeps the headers of its calls.
#[derive(Clone)]
struct ListeningIn<S> {
    service: S,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
}

impl<S: NamedService> NamedService for ListeningIn<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<RequestBody>>> Service<Request<RequestBody>> for ListeningIn<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> S::Future {
        self.headers.lock().unwrap().push(request.headers().clone());
        self.service.call(request)
    }
}

/// The tests of an example, each with a world of its own in one sandbox.
fn tests(language: &str) {
    let Some(folder) = example(language) else {
        return;
    };
    let mut tests = Command::new(folder.join("test.sh"));
    let output = tests.env("MESIBO_GRPC", PROGRAM).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    say(&format!("\n{}:\n{printed}", folder.display()));
    assert!(output.status.success(), "{output:?}");
}

macro_rules! examples {
    ($($language:ident)*) => {
        $(mod $language {
            #[tokio::test]
            async fn walks() {
                super::walks(stringify!($language)).await;
            }

            #[test]
            fn tests_with_a_sandbox_of_its_own() {
                super::tests(stringify!($language));
            }

            #[tokio::test]
            async fn explains_an_unexpected_error() {
                super::explains(stringify!($language));
            }
        })*
    };
}

examples! { python typescript go java shell }

#[tokio::test]
async fn walks_over_tls_go_as_those_without() {
    for language in ["python", "typescript", "go", "java", "shell"] {
        walks_over_tls(language).await;
    }
}

/// The path of a script of this folder.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/polyglot")
        .join(name)
}

/// A script of this folder, in the environment of the Python example.
pub fn python(script: &str) -> Option<Command> {
    let folder = example("python")?;
    let mut python = Command::new(folder.join("build/venv/bin/python"));
    python.arg(self::script(script)).env("PYTHONPATH", {
        let stubs = folder.join("build/stubs");
        format!("{}:{}", stubs.display(), folder.display())
    });
    Some(python)
}

/// A script that runs. Dropping it kills it.
struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
    }

    /// Ends its input, and gives the rest of what it prints.
    fn finish(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        self.lines.by_ref().map(Result::unwrap).collect()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn health_changes_during_a_shutdown_for_those_who_watch_and_those_who_ask() {
    let Some(mut watch) = python("health.py") else {
        return;
    };
    let server = Process::serve("http://127.0.0.1:1/", &["--lame-duck", "5m"]);
    let ask = || {
        let address = format!("http://{}", server.address);
        command(&["health", "--address", &address])
            .output()
            .unwrap()
    };
    watch.arg(&server.address);
    let mut watch = Script::start(watch);
    assert_eq!(watch.line(), "SERVING SERVING");
    assert!(ask().status.success());

    server.signal("TERM");
    assert_eq!(watch.line(), "NOT_SERVING NOT_SERVING");
    let asked = ask();
    assert_eq!(asked.status.code(), Some(1));
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("NOT_SERVING"), "{said}");
}

/// The services that reflection lists, besides those of reflection itself.
const SERVICES: [&str; 5] = [
    "grpc.health.v1.Health",
    "mesibo.v1.DirectoryService",
    "mesibo.v1.GroupService",
    "mesibo.v1.MessageService",
    "mesibo.v1.UserService",
];

#[test]
fn reflection_describes_every_service_to_python() {
    let Some(mut script) = python("reflection.py") else {
        return;
    };
    let server = Process::serve("http://127.0.0.1:1/", &[]);
    let output = script.arg(&server.address).output().unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    for version in ["v1alpha ", "v1 "] {
        let methods = printed
            .lines()
            .filter_map(|line| line.strip_prefix(version));
        let methods: Vec<_> = methods
            .filter(|method| method.starts_with("mesibo.v1."))
            .collect();
        assert_eq!(methods.len(), 19, "{output:?}");
        for service in SERVICES {
            assert!(
                printed.contains(&format!("{version}{service}.")),
                "{output:?}"
            );
        }
    }
}

#[test]
fn reflection_lists_every_service_and_method_to_buf() {
    if Command::new("buf").arg("--version").output().is_err() {
        return skip("buf, which the PyPI package buf-bin has");
    }
    let server = Process::serve("http://127.0.0.1:1/", &[]);
    for version in ["grpc-v1", "grpc-v1alpha"] {
        let list = |what: &str| {
            let url = format!("http://{}", server.address);
            let output = Command::new("buf")
                .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
                .args(["--reflect-protocol", version, what, &url])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let services = list("--list-services");
        for service in SERVICES {
            assert!(services.contains(service), "{version}: {services}");
        }
        let methods = list("--list-methods");
        let methods = methods
            .lines()
            .filter(|line| line.starts_with("mesibo.v1."));
        assert_eq!(methods.count(), 19, "{version}");
    }
}

#[test]
fn the_service_config_names_every_rpc_once() {
    let config = std::fs::read_to_string(SERVICE_CONFIG).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let mut named: Vec<_> = config["methodConfig"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|config| config["name"].as_array().unwrap())
        .map(|name| format!("{}/{}", name["service"], name["method"]))
        .collect();
    assert_eq!(named.len(), 12);
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 12);
}

#[test]
fn the_service_config_repeats_what_is_safe_to_repeat() {
    let Some(mut script) = python("retried.py") else {
        return;
    };
    let backend = Backend::always(Answer::http(503, &[], ""));
    let server = Process::serve(&backend.url(), &[]);
    let output = script
        .args([SERVICE_CONFIG, &server.address])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(printed, "UNAVAILABLE\nUNAVAILABLE\n", "{output:?}");
    let sent: Vec<_> = backend
        .requests()
        .iter()
        .map(|request| request.get("op").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["userset", "userset", "userset", "message"]);
}

/// Passes one connection on to a server, and counts the bytes that go there and back.
async fn counting(server: String) -> (String, JoinHandle<(u64, u64)>) {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let counted = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let copied = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        copied.unwrap()
    });
    (address, counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_compresses_what_it_sends_and_reads_what_is_compressed() {
    let Some(mut script) = python("gzip.py") else {
        return;
    };
    let sandbox = Process::sandbox();
    let (address, counted) = counting(sandbox.address.clone()).await;
    let output = script.arg(address).output().unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let expected = "listed 20 18\nINVALID_ARGUMENT address app_id\nstreamed 0 1 2\n";
    assert_eq!(printed, expected, "{output:?}");
    // 54 kB of requests and 18 kB of responses, if they were not compressed.
    let (there, back) = counted.await.unwrap();
    assert!(there < 20_000 && back < 15_000, "{there} {back}");
}

/// Clients that repeat UNAVAILABLE by themselves, through a backend that fails in every
/// way, send no message twice.
fn hammers(mut client: Command) {
    let faults = Faults::new(11);
    let backend = faults.backend(ANY_PORT);
    let server = Process::serve(&backend.url(), &[]);
    let output = client.env("SERVER", &server.address).output().unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let answered: usize = printed
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{output:?}"));
    let sent: Vec<_> = (1..=10_000)
        .map(|number| faults.fates(&number.to_string()))
        .map(|fates| fates.iter().filter(|&&fate| fate == Fate::Done).count())
        .collect();
    say(&format!(
        "of 10,000 messages {answered} were answered, {} arrived, {} twice\n",
        sent.iter().filter(|&&times| times > 0).count(),
        sent.iter().filter(|&&times| times > 1).count(),
    ));
    assert!(sent.iter().all(|&times| times <= 1));
    assert!(answered > 5_000, "{answered}");
}

#[test]
fn a_python_client_with_retries_sends_nothing_twice() {
    if let Some(client) = python("hammer.py") {
        hammers(client);
    }
}

#[test]
fn a_node_client_with_retries_sends_nothing_twice() {
    if let Some(folder) = example("typescript") {
        let mut client = Command::new("node");
        client
            .arg(script("hammer.mjs"))
            .arg(folder.join("build/js/build/stubs"));
        hammers(client);
    }
}
