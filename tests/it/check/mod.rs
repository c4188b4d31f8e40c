//! `check`: what it says of each mistake, in its own words.

mod online;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
    time::{Duration, SystemTime},
};

use mesibo_grpc::access::key::KeyHash;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    support::{TOKEN, process::command, write_private},
    tls::authority::{Authority, Identity},
};

/// A mistake, and the line that tells of it. `DIR` is the folder of the fixtures, `KEY` the
/// hash of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is wrong.
    mistake: String,
    /// The settings file, without which there is none.
    settings: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    /// Environment variables besides that of the token.
    #[serde(default)]
    env: Vec<(String, String)>,
    /// The exit status.
    status: i32,
    /// The whole line.
    says: String,
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// The files that settings name.
struct Fixtures(TempDir);

impl Fixtures {
    fn new() -> Self {
        let fixtures = Self(tempfile::tempdir().unwrap());
        let write = |name: &str, content: &str| write_private(&fixtures.path().join(name), content);
        let (authority, other) = (Authority::new(), Authority::new());
        let identity = |name: &str, Identity { certificate, key }: Identity| {
            write(&format!("{name}.crt"), &certificate);
            write(&format!("{name}.key"), &key);
        };
        let good = authority.issue(&["facade.example"]);
        write(
            "unchained.crt",
            &format!("{}{}", good.certificate, other.pem),
        );
        write("clients.crt", &authority.pem);
        write(
            "others.crl",
            &other.revoke(&[], SystemTime::now() + Duration::from_hours(48)),
        );
        identity("tls", good);
        identity("expired", authority.issue_expired(&["facade.example"]));
        identity("nameless", authority.issue(&[]));
        write("token", TOKEN);
        write("empty", "");
        write("garbage", "garbage\n");
        for (name, mode) in [("read-by-all", 0o644), ("written-by-all", 0o666)] {
            write(name, TOKEN);
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(fixtures.path().join(name), permissions).unwrap();
        }
        let database = Connection::open(fixtures.path().join("newer.db")).unwrap();
        let schema = "CREATE TABLE mesibo_grpc_migrations (version BIGINT);
                      INSERT INTO mesibo_grpc_migrations VALUES (99)";
        database.execute_batch(schema).unwrap();
        fixtures
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A text in which `DIR` and `KEY` stand for what they are.
    fn filled(&self, text: &str) -> String {
        let text = text.replace("DIR", self.path().to_str().unwrap());
        text.replace("KEY", &KeyHash::of(b"s3ntinel").to_string())
    }

    /// What was told, without what differs from run to run: the folder, and which of the
    /// authorities of the tests it was.
    fn masked(&self, told: &str) -> String {
        let told = told.replace(self.path().to_str().unwrap(), "DIR");
        let mut parts = told.split("CN=authority ");
        let mut masked = parts.next().unwrap().to_owned();
        for part in parts {
            masked.push_str("CN=authority N");
            masked.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        }
        masked
    }

    fn run(&self, case: &Case) -> Output {
        let mut args = vec!["check".to_owned()];
        if let Some(settings) = &case.settings {
            let file = self.path().join("settings.toml");
            write_private(&file, &self.filled(settings));
            args.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        args.extend(case.args.iter().map(|arg| self.filled(arg)));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut command = command(&args);
        command.env("MESIBO_APP_TOKEN", TOKEN);
        for (name, value) in &case.env {
            command.env(name, self.filled(value));
        }
        command.output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!stdout.contains("s3ntinel"), "{stdout}");
    assert!(output.stderr.is_empty(), "{output:?}");
    stdout
}

#[test]
fn each_mistake_of_the_table_is_told_in_its_line() {
    let Cases { case: cases } = toml::from_str(include_str!("mistakes.toml")).unwrap();
    let fixtures = Fixtures::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let output = fixtures.run(case);
        let told = fixtures.masked(&stdout(&output));
        let is_told = told.lines().any(|line| line == case.says);
        if !is_told || output.status.code() != Some(case.status) {
            let status = output.status.code();
            wrong.push(format!("{}: status {status:?}, and\n{told}", case.mistake));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 30, "{}", cases.len());
}

#[test]
fn a_deployment_without_a_mistake_has_a_line_for_each_thing_and_nothing_is_made() {
    let fixtures = Fixtures::new();
    let before = fixtures.files();
    let case = Case {
        mistake: String::new(),
        settings: Some(
            "listen = '0.0.0.0:50051'\nmax-connections = 10\nstore = 'sqlite:DIR/store.db'\n\
             audit-log = 'DIR/audit.log'\n\
             tls-certificate-file = 'DIR/tls.crt'\ntls-key-file = 'DIR/tls.key'\n\
             [callers.orders]\nkeys = ['KEY']\nrate = 10\n\
             may-call = ['mesibo.v1.MessageService/SendMessage']\n"
                .into(),
        ),
        args: Vec::new(),
        env: Vec::new(),
        status: 0,
        says: String::new(),
    };
    let output = fixtures.run(&case);
    let told = fixtures.masked(&stdout(&output));
    let expected = "\
ok       settings: from DIR/settings.toml, flags and environment variables, to serve on 0.0.0.0:50051
ok       tls-certificate-file: for facade.example, until 4096-01-01T00:00:00Z, with 0 above it
ok       callers.orders: may make 1 RPCs, and is known by 1 keys and certificates
ok       max-connections: 10 fit into the limit of open files
ok       audit-log: DIR/audit.log can be made
ok       store: sqlite:DIR/store.db has no schema yet: serve makes it at its start
failures: 0, warnings: 0
";
    assert_eq!(told, expected);
    assert_eq!(output.status.code(), Some(0));
    fs::remove_file(fixtures.path().join("settings.toml")).unwrap();
    assert_eq!(fixtures.files(), before);
}

#[test]
fn all_mistakes_are_told_at_once_and_as_json() {
    let fixtures = Fixtures::new();
    let args = ["check", "--listen=a", "--log=b", "--format", "json"];
    let mut command = command(&args);
    command.env("MESIBO_GRPC_LISTNE", "c");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["outcome"], "failure");
    assert_eq!(report["exit_status"], 2);
    let findings = report["findings"].as_array().unwrap();
    let mut names: Vec<_> = findings
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["MESIBO_GRPC_LISTNE", "app-token", "listen", "log"]);
    assert!(
        findings
            .iter()
            .all(|finding| finding["outcome"] == "failure")
    );
    drop(fixtures);
}

impl Fixtures {
    /// The names of the files.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
}
