//! What the program refuses to start with.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use mesibo_grpc::access::key::KeyHash;
use tempfile::NamedTempFile;

use crate::{
    program::assert_refused,
    support::{Process, TOKEN, process::command, settings_file},
};

/// A caller with a key.
fn caller() -> String {
    let hash = KeyHash::of(b"s3ntinel");
    format!("[callers.orders]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n")
}

fn serve(args: &[&str], config: &Path) -> Output {
    let mut command = command(&["serve"]);
    command.args(args).arg("--config").arg(config);
    command.env("MESIBO_APP_TOKEN", TOKEN).output().unwrap()
}

/// Starts it, and ends it.
fn serves(listen: &str, args: &[&str], config: &Path) {
    let config = config.to_str().unwrap();
    let args = [args, &["--config", config]].concat();
    drop(Process::serve_on(listen, "http://127.0.0.1:1/", &args));
}

#[test]
fn an_address_that_others_reach_takes_callers_and_tls_or_an_explicit_word() {
    let (none, callers) = (settings_file(""), settings_file(&caller()));
    let (none, callers) = (none.path(), callers.path());
    let exposed = ["--listen", "0.0.0.0:0"];
    assert_refused(
        &serve(&exposed, none),
        "listen: expected a loopback address, for everyone who reaches 0.0.0.0:0 may use the \
         application's token; define callers in the settings file (mesibo-grpc key NAME makes \
         one), or set allow-anonymous",
    );
    assert_refused(
        &serve(&["--listen", "[::]:0"], none),
        "listen: expected a loopback address",
    );
    assert_refused(
        &serve(&exposed, callers),
        "listen: expected a loopback address, for on the way to 0.0.0.0:0 everyone can read \
         the callers' keys; set tls-certificate-file and tls-key-file, or, if something in front \
         does the TLS, allow-plaintext",
    );
    assert_refused(
        &serve(&["--allow-anonymous"], callers),
        "allow-anonymous: expected no callers",
    );
    serves("0.0.0.0:0", &["--allow-anonymous"], none);
    serves("0.0.0.0:0", &["--allow-plaintext"], callers);
    for loopback in ["127.1.2.3:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        serves(loopback, &[], none);
        serves(loopback, &[], callers);
    }
}

/// Starts a server, ends it, and gives its log.
fn log_of(listen: &str, args: &[&str]) -> String {
    let server = Process::serve_on(listen, "http://127.0.0.1:1/", args);
    server.signal("TERM");
    let (_, _, log) = server.wait();
    log
}

#[test]
fn what_is_allowed_but_dangerous_is_warned_of() {
    let callers = settings_file(&caller());
    let callers = callers.path().to_str().unwrap();
    let metrics = "metrics-listen: every machine that reaches 0.0.0.0:0 can read the metrics";
    for (args, warning) in [
        (
            &["--allow-anonymous"][..],
            "allow-anonymous: every client that reaches 0.0.0.0:0 may use the application's token",
        ),
        (
            &["--allow-plaintext", "--config", callers],
            "allow-plaintext: keys of callers come to 0.0.0.0:0 in plaintext",
        ),
        (
            &["--allow-anonymous", "--metrics-listen", "0.0.0.0:0"],
            metrics,
        ),
    ] {
        let log = log_of("0.0.0.0:0", args);
        assert!(log.contains("WARN") && log.contains(warning), "{log}");
    }
    let log = log_of("127.0.0.1:0", &["--metrics-listen", "127.0.0.1:0"]);
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn a_sandbox_that_others_reach_is_refused_in_its_own_words() {
    let output = command(&["sandbox", "--listen", "0.0.0.0:0"]).output();
    assert_refused(
        &output.unwrap(),
        "listen: expected a loopback address, for everyone who reaches 0.0.0.0:0 may use the \
         sandbox; define callers",
    );
}

fn set_mode(file: &NamedTempFile, mode: u32) {
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_settings_file_is_not_for_everyone_to_write_nor_to_read_with_a_secret() {
    let secret = settings_file("upstream-proxy = \"http://user:s3ntinel@127.0.0.1:3128\"");
    let open = settings_file("upstream-proxy = \"http://127.0.0.1:3128\"");
    set_mode(&secret, 0o644);
    set_mode(&open, 0o644);
    assert_refused(
        &serve(&["--listen", "127.0.0.1:0"], secret.path()),
        "config: every user can read the file, which holds a secret; take the permission away, \
         with chmod o-r; the secret is the password in upstream-proxy",
    );
    serves("127.0.0.1:0", &[], open.path());
    set_mode(&secret, 0o640);
    serves("127.0.0.1:0", &[], secret.path());
    set_mode(&open, 0o666);
    assert_refused(
        &serve(&["--listen", "127.0.0.1:0"], open.path()),
        "config: every user can write the file; take the permission away, with chmod o-w",
    );
}

#[test]
fn a_token_that_every_user_can_read_or_write_is_refused() {
    let token = settings_file("s3cr3t");
    let path = token.path().to_str().unwrap();
    let start = || {
        let args = ["serve", "--listen", "127.0.0.1:0", "--app-token-file", path];
        command(&args).output().unwrap()
    };
    for (mode, says) in [
        (0o644, "app-token-file: every user can read the file"),
        (0o666, "app-token-file: every user can write the file"),
    ] {
        set_mode(&token, mode);
        assert_refused(&start(), says);
    }
}

#[test]
fn the_hash_of_the_empty_key_is_no_key() {
    let hash = KeyHash::of(b"");
    let settings = settings_file(&format!(
        "[callers.orders]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]"
    ));
    assert_refused(
        &serve(&["--listen", "127.0.0.1:0"], settings.path()),
        "callers.orders.keys: expected the hash of a key, and this is that of an empty one",
    );
}
