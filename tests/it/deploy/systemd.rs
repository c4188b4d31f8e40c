//! The unit for systemd.

use std::fs;

use super::{
    duration, path, printed, read,
    start::{Start, brought},
    tool,
};
use crate::support::process::{PROGRAM, command};

const UNIT: &str = "systemd/mesibo-grpc.service";

/// Where the unit has the program.
const INSTALLED: &str = "/usr/local/bin/mesibo-grpc";

/// Where systemd puts credentials; the unit says it by `%d`.
const CREDENTIALS: &str = "/run/credentials/mesibo-grpc.service";

/// Where systemd puts the state of units, by their names; the unit says it by `%S`.
const STATE: &str = "/var/lib";

/// The values of a directive.
fn values(directive: &str) -> Vec<String> {
    let unit = read(UNIT);
    let prefix = format!("{directive}=");
    let lines = unit.lines().filter_map(|line| line.strip_prefix(&prefix));
    lines
        .map(|value| value.replace("%d", CREDENTIALS).replace("%S", STATE))
        .collect()
}

/// What the unit starts, with the files that docs/operations.md installs.
fn start() -> Start {
    let command = values("ExecStart").remove(0);
    let args = command.strip_prefix(INSTALLED).unwrap();
    let brought = brought();
    let settings = (
        "/etc/mesibo-grpc/settings.toml".to_owned(),
        brought["settings.toml"].clone(),
    );
    let credentials = values("LoadCredential").into_iter().map(|credential| {
        let (name, file) = credential.split_once(':').unwrap();
        let content = brought[file.strip_prefix("/etc/mesibo-grpc/").unwrap()].clone();
        (format!("{CREDENTIALS}/{name}"), content)
    });
    Start {
        args: args.split_whitespace().map(Into::into).collect(),
        env: values("Environment")
            .iter()
            .map(|variable| variable.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        files: [settings].into_iter().chain(credentials).collect(),
        folders: values("StateDirectory")
            .iter()
            .map(|name| format!("{STATE}/{name}"))
            .collect(),
    }
}

#[test]
fn the_unit_serves_and_has_the_time_to_stop() {
    let config = start().config();
    assert!(config.server.listen.ip().is_loopback());
    let stops_by_itself = config.server.lame_duck + config.server.shutdown_grace;
    assert!(duration(&values("TimeoutStopSec")[0]) > stops_by_itself);
    let files = config.server.limits.max_connections + config.apps[0].upstream.max_in_flight;
    assert!(values("LimitNOFILE")[0].parse::<usize>().unwrap() > files);

    // What it remembers is in the one folder that it may write to.
    assert_eq!(values("StateDirectoryMode"), ["0700"]);
    let (server, files) = start().run();
    assert!(files.path().join("var/lib/mesibo-grpc/store.db").exists());
    let address = format!("http://{}", server.address);
    printed(&mut command(&["health", "--address", &address]));
    let (_, fails) = (server, command(&["serve"]).output().unwrap());
    let status = fails.status.code().unwrap().to_string();
    assert_eq!(values("RestartPreventExitStatus"), [status]);
}

#[test]
fn the_unit_checks_what_it_serves_and_starts_whatever_the_check_says() {
    let (check, serve) = (
        values("ExecStartPre").remove(0),
        values("ExecStart").remove(0),
    );
    // The hyphen has systemd ignore a failure.
    assert_eq!(check, format!("-{}", serve.replacen("serve", "check", 1)));
    let output = start().output_of("check");
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("failures: 0, ")
    );
}

#[test]
fn systemd_takes_the_unit_for_a_good_and_a_safe_one() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("mesibo-grpc.service");
    let with_program = read(UNIT).replace(INSTALLED, PROGRAM);
    fs::write(&unit, with_program).unwrap();
    let unit = unit.to_str().unwrap();
    let package = "the Debian package systemd";
    let Some(mut verify) = tool("systemd-analyze", &["verify", "--man=no", unit], package) else {
        return;
    };
    let output = verify.output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    // Other units of the machine may have faults of their own.
    assert!(!complaints.contains("mesibo-grpc.service"), "{complaints}");

    // Its exposure, from 0 to 10, in tenths.
    let unit = path(UNIT);
    let args = [
        "security",
        "--offline=true",
        "--threshold=15",
        unit.to_str().unwrap(),
    ];
    printed(&mut tool("systemd-analyze", &args, package).unwrap());
}
