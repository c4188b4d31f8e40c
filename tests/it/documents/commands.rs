//! The commands of the documents: those that one machine can run are run as they are
//! printed, and every other one is on a list of what runs it, so that none is forgotten.

use std::process::Command;

use super::pages;
use crate::support::{Process, process::PROGRAM, skip};

/// What the commands that begin so need, and what runs them, or looks at them, instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("apt-get install", "the gate installs the packages"),
    ("buf ", "tests/it/walk.rs and the gate"),
    ("cargo ", "the gate: a build takes minutes"),
    (".ci/run", "is the gate"),
    ("cd ", "a folder of the repository, which the links check"),
    (
        "curl --fail --silent --show-error https://ca.example.com",
        "needs an authority",
    ),
    (
        "deploy/image.sh",
        "tests/it/deploy/image.rs makes an image of another program",
    ),
    (
        "deploy/package",
        "a release build takes minutes; tests/it/deploy/package.rs packs another program",
    ),
    (
        "diff SHA256SUMS",
        "tests/it/deploy/package.rs compares what was made twice",
    ),
    (
        "docker ",
        "needs a daemon; tests/it/deploy/compose.rs and image.rs run what it would",
    ),
    ("git checkout", "changes the checkout"),
    ("export ", "what is set is in docs/settings.md"),
    ("groupadd ", "changes the machine"),
    ("grpcurl ", "the same calls are made by tests/it/walk.rs"),
    (
        "install ",
        "changes the machine; tests/it/deploy/systemd.rs puts the same files in place",
    ),
    (
        "helm ",
        "needs a cluster; tests/it/deploy/helm.rs renders the chart by the SDK of Helm",
    ),
    ("journalctl ", "needs systemd"),
    (
        "kubectl ",
        "tests/it/deploy/kubernetes.rs runs those that need no cluster",
    ),
    (
        "mv clients.new",
        "tests/it/tls/revocation.rs replaces the list",
    ),
    ("npm ci", "the gate"),
    ("openssl crl", "needs the list of an authority"),
    ("openssl rand", "makes a secret"),
    ("pg_dump ", "needs the database of an operator"),
    ("perf ", "needs rights that tests do not have"),
    ("rustup ", "changes the toolchain"),
    (
        "sed ",
        "tests/it/deploy/monitoring.rs reads the addresses that it changes",
    ),
    (
        "sha256sum ",
        "tests/it/deploy/package.rs runs it where the packages are",
    ),
    (
        "skopeo ",
        "needs a registry; tests/it/deploy/image.rs reads the image",
    ),
    ("{ printf", "tests/it/deploy/kubernetes.rs runs it"),
    ("sqlite3 ", "needs the store of an operator"),
    (
        "systemctl ",
        "needs systemd; tests/it/deploy/systemd.rs reads the unit",
    ),
];

/// Every command of a document, with the path of the document.
fn commands() -> Vec<(String, String)> {
    let pages = pages().into_iter();
    let commands = pages.flat_map(|page| {
        let path = page.path;
        let commands = page.commands.into_iter();
        commands.map(move |command| (path.clone(), command))
    });
    commands.collect()
}

#[test]
fn every_command_of_a_document_is_run_or_is_known_to_be_run_elsewhere() {
    let mut unknown = Vec::new();
    let mut used = Vec::new();
    for (page, command) in commands() {
        if is_of_the_program(&command) || is_for_the_sandbox(&command) {
            continue;
        }
        match ELSEWHERE
            .iter()
            .find(|(begin, _)| command.starts_with(begin))
        {
            Some((begin, _)) => used.push(*begin),
            None => unknown.push(format!("{page}: {command}")),
        }
    }
    assert!(unknown.is_empty(), "nothing runs {unknown:#?}");
    let unused: Vec<_> = ELSEWHERE
        .iter()
        .filter(|(begin, _)| !used.contains(begin))
        .collect();
    assert!(unused.is_empty(), "no document has {unused:?}");
}

#[test]
fn the_program_knows_every_command_and_flag_that_a_document_gives_it() {
    let mut count = 0;
    for (page, command) in commands() {
        // What stands before or behind it in a pipe may not be here.
        let mut parts = command.split(" | ").map(str::trim);
        let Some(part) = parts.find(|part| part.starts_with("mesibo-grpc ")) else {
            continue;
        };
        count += 1;
        // Help is printed once the flags before it were found.
        let line = part.replacen("mesibo-grpc", PROGRAM, 1);
        let shell = Command::new("sh")
            .args(["-c", &format!("{line} --help")])
            .output()
            .unwrap();
        assert!(shell.status.success(), "{page}: {command}: {shell:?}");
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_commands_for_the_sandbox_do_what_their_page_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("curl, which is in the Debian package of that name");
    }
    let sandbox = Process::sandbox();
    let (grpc, emulator) = (sandbox.address.clone(), sandbox.upstream().to_string());
    let mut count = 0;
    for (page, command) in commands() {
        if !is_for_the_sandbox(&command) {
            continue;
        }
        count += 1;
        let line = command
            .replacen("curl ", "curl --silent --show-error --fail ", 1)
            .replace("127.0.0.1:50051", &grpc)
            .replace("127.0.0.1:50080", &emulator);
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{page}: {command}: {output:?}");
        assert!(
            !printed.contains("\"result\":false"),
            "{page}: {command}: {printed}"
        );
        assert!(!printed.is_empty(), "{page}: {command}");
    }
    assert!(count >= 5, "{count}");
}

fn is_of_the_program(command: &str) -> bool {
    command.starts_with("mesibo-grpc ") || command.contains("| mesibo-grpc ")
}

/// Whether a command asks the sandbox at its default address.
fn is_for_the_sandbox(command: &str) -> bool {
    command.starts_with("curl ") && command.contains("127.0.0.1:500")
}
