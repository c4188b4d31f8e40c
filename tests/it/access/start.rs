//! What the program refuses to start with.

use std::{fs, path::Path, process::Output};

use mesibo_grpc::access::key::KeyHash;

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
        "listen: expected a loopback address, for everyone who reaches another may use the \
         application's token; define callers in the settings file (mesibo-grpc key NAME makes \
         one), or set allow-anonymous",
    );
    assert_refused(
        &serve(&["--listen", "[::]:0"], none),
        "listen: expected a loopback address",
    );
    assert_refused(
        &serve(&exposed, callers),
        "listen: expected a loopback address, for on the way to another everyone can read the \
         callers' keys; set tls-certificate-file and tls-key-file, or, if something in front \
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

#[test]
fn a_file_with_a_secret_is_not_for_everyone() {
    use std::os::unix::fs::PermissionsExt as _;

    let secret = settings_file("upstream-proxy = \"http://user:s3ntinel@127.0.0.1:3128\"\n");
    let open = settings_file("upstream-proxy = \"http://127.0.0.1:3128\"\n");
    for file in [&secret, &open] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_refused(
        &serve(&["--listen", "127.0.0.1:0"], secret.path()),
        "config: the file can be read by everyone, and holds a secret, the password in \
         upstream-proxy; take the permission away, with chmod o-r",
    );
    serves("127.0.0.1:0", &[], open.path());
    fs::set_permissions(secret.path(), fs::Permissions::from_mode(0o640)).unwrap();
    serves("127.0.0.1:0", &[], secret.path());
}
