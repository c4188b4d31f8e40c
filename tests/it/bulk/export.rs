//! The directory of a server, as a file.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines},
    os::unix::fs::PermissionsExt as _,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use mesibo_grpc::access::key::KeyHash;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use super::{Fixture, stderr, users};
use crate::support::{
    Answer, Backend, Process,
    process::{self, command},
    settings_file,
};

/// More than two pages.
const USERS: u64 = 2_100;

/// The keys of a caller without limits, and of one that may ask for a page now and then.
const FAST: &str = "s3ntinel-fast";
const SLOW: &str = "s3ntinel-slow";

/// A directory with users, and what it takes to serve it.
struct Directory {
    folder: TempDir,
    backend: Backend,
    settings: NamedTempFile,
}

impl Directory {
    /// The users are those of a file that is imported: `user-0` has the uid 1, and so on.
    fn new() -> Self {
        let backend = Backend::scripted(|request| {
            let address = request.get("addr").unwrap_or_default();
            let number: u64 = address.trim_start_matches("user-").parse().unwrap();
            let uid = number + 1;
            Answer::ok(format!(
                r#"{{"result": true, "user": {{"uid": {uid}, "token": "t0ken"}}}}"#
            ))
        });
        let caller = |name, key: &str, limits| {
            let hash = KeyHash::of(key.as_bytes());
            format!("[callers.{name}]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n{limits}\n")
        };
        // A page every three seconds, so that something can happen in between.
        let slow = caller("slow", SLOW, "rate = 0.3\nburst = 1");
        let settings = settings_file(&[caller("fast", FAST, ""), slow].concat());
        let directory = Self {
            folder: tempfile::tempdir().unwrap(),
            backend,
            settings,
        };
        let fixture = Fixture::new("users.csv", users(USERS.try_into().unwrap()));
        let server = directory.serve();
        let imported = run(&server, &["import", "users", fixture.file()]);
        assert!(imported.status.success(), "{imported:?}");
        // One that is killed leaves the last of them to be looked up.
        server.signal("TERM");
        server.wait();
        directory
    }

    fn serve(&self) -> Process {
        self.serve_on("127.0.0.1:0")
    }

    fn serve_on(&self, address: &str) -> Process {
        let store = self.folder.path().join("store.db");
        let store = format!("sqlite:{}", store.display());
        let config = self.settings.path().to_str().unwrap();
        let settings = ["--store", &store, "--config", config];
        Process::serve_on(address, &self.backend.url(), &settings)
    }
}

/// Runs a command against a server, by the caller without limits.
fn run(server: &Process, args: &[&str]) -> Output {
    let mut command = client(server, args, FAST);
    command.output().unwrap()
}

fn client(server: &Process, args: &[&str], key: &str) -> Command {
    let url = format!("http://{}", server.address);
    let mut command = command(&[args, &["--address", &url]].concat());
    command.env("MESIBO_GRPC_KEY", key);
    command
}

/// A command that writes users by the slow caller, with what it says, line by line.
struct Export {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Export {
    fn start(server: &Process, file: &str) -> Self {
        let mut child = client(server, &["export", "users", file], SLOW)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it says something, and gives the line.
    fn says(&mut self, text: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(text)).expect(text)
    }

    fn ends(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

/// The uids and addresses of a file.
fn read(file: &[u8]) -> Vec<(u64, String)> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().unwrap().clone();
    let index = |name| header.iter().position(|it| it == name).unwrap();
    let [uid, address, state] = ["uid", "address", "state"].map(index);
    let rows = reader.records().map(Result::unwrap).map(|row| {
        assert_eq!(&row[state], "confirmed");
        (row[uid].parse().unwrap(), row[address].to_owned())
    });
    rows.collect()
}

/// The users of [`Directory::new`].
fn all() -> Vec<(u64, String)> {
    let mut all: Vec<_> = (1..=USERS)
        .map(|uid| (uid, format!("user-{}", uid - 1)))
        .collect();
    all.sort_by(|one, other| one.1.cmp(&other.1));
    all
}

#[test]
fn every_user_of_the_directory_is_a_row_of_a_file_for_its_owner_alone() {
    let directory = Directory::new();
    let server = directory.serve();
    let fixture = Fixture::new("all.csv", "what was there before");
    let output = run(&server, &["export", "users", fixture.file()]);
    assert!(output.status.success(), "{output:?}");
    let says = format!("{USERS} users are in {}\n", fixture.file());
    assert!(stderr(&output).ends_with(&says), "{output:?}");
    assert_eq!(read(&fs::read(fixture.file()).unwrap()), all());
    let mode = fs::metadata(fixture.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nothing else is left.
    assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1);

    // Standard output is the default, and has the rows alone.
    let output = run(&server, &["export", "users"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, fs::read(fixture.file()).unwrap());
    let lines = run(&server, &["export", "users", "-", "--format", "jsonl"]);
    assert!(lines.status.success(), "{lines:?}");
    let lines = String::from_utf8(lines.stdout).unwrap();
    let objects = lines.lines().map(|line| {
        let user: Value = serde_json::from_str(line).unwrap();
        let text = |name| user[name].as_str().unwrap().to_owned();
        (text("uid").parse().unwrap(), text("address"))
    });
    assert_eq!(objects.collect::<Vec<(u64, String)>>(), all());
}

#[test]
fn an_export_waits_for_its_rate_and_goes_on_by_a_server_that_was_killed_and_started_again() {
    let directory = Directory::new();
    let server = directory.serve();
    let fixture = Fixture::new("all.csv", "what was there before");
    let mut export = Export::start(&server, fixture.file());
    let line = export.says("the page is asked for again");
    assert!(line.contains("ResourceExhausted"), "{line}");
    let address = server.address.clone();
    server.signal("KILL");
    drop(server);
    export.says("Unavailable");
    let _server = directory.serve_on(&address);
    export.says(&format!("{USERS} users are in"));
    assert_eq!(export.ends(), 0);
    assert_eq!(read(&fs::read(fixture.file()).unwrap()), all());
}

#[test]
fn an_export_that_is_stopped_or_refused_leaves_the_file_as_it_was() {
    let directory = Directory::new();
    let server = directory.serve();
    let fixture = Fixture::new("all.csv", "what was there before");
    let is_untouched = || {
        assert_eq!(fs::read(fixture.file()).unwrap(), b"what was there before");
        assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1);
    };
    for signal in ["INT", "TERM"] {
        let mut export = Export::start(&server, fixture.file());
        export.says("the page is asked for again");
        process::signal(&export.child, signal);
        export.says("stopped");
        assert_eq!(export.ends(), 1);
        is_untouched();
    }

    let without_a_store = Process::sandbox();
    let args = ["export", "users", fixture.file()];
    let output = run(&without_a_store, &args);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("FailedPrecondition"), "{output:?}");
    is_untouched();
}
