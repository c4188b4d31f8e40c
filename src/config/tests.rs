mod tables;

use std::{collections::HashMap, io::Write as _};

use super::{settings::*, *};

fn read(values: &[(&Setting, &str)]) -> Result<Config, String> {
    let values: HashMap<_, _> = values
        .iter()
        .map(|&(setting, value)| (setting.name, value.to_owned()))
        .collect();
    Config::read(|setting| values.get(setting.name).cloned()).map_err(|error| error.to_string())
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn every_default_is_valid_and_as_documented() {
    let config = read(&[(&APP_TOKEN, "t0k")]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(
        config.apps[0].upstream.url.as_str(),
        "https://api.mesibo.com/api.php"
    );
    assert_eq!(config.server.deadlines.default.as_secs(), 15);
    assert_eq!(config.server.deadlines.longest.as_secs(), 60);
    let limits = config.server.limits;
    assert_eq!(limits.max_connections, 10_000);
    assert_eq!(limits.max_concurrent_streams, 200);
    assert_eq!(limits.max_header_bytes, 16 << 10);
    assert_eq!(limits.handshake_timeout.as_secs(), 10);
    assert_eq!(limits.keepalive_time.as_secs(), 60);
    assert_eq!(limits.keepalive_timeout.as_secs(), 20);
    assert_eq!(limits.max_connection_idle.as_secs(), 300);
    assert_eq!(limits.max_connection_age.as_secs(), 300);
    assert_eq!(limits.max_connection_age_grace.as_secs(), 30);
    assert_eq!(config.server.lame_duck.as_secs(), 5);
    assert_eq!(config.server.shutdown_grace.as_secs(), 20);
    assert_eq!(config.apps[0].upstream.connect_timeout.as_secs(), 3);
    assert_eq!(config.apps[0].upstream.idle_timeout.as_secs(), 15);
    assert_eq!(config.apps[0].upstream.connection_lifetime.as_secs(), 300);
    assert_eq!(config.apps[0].upstream.max_in_flight, 1024);
    assert_eq!(config.apps[0].upstream.max_waiting, 256);
    assert_eq!(config.apps[0].upstream.max_wait.as_millis(), 500);
    assert_eq!(config.apps[0].upstream.max_reply_bytes, 1 << 20);
    assert_eq!(config.max_request_bytes, 4 << 20);
    assert_eq!(config.token_deletion, TokenDeletion::UserToken);
    assert_eq!(config.error_codes, ErrorCodes::default());
    assert!(config.apps[0].upstream.proxy.is_none());
}

#[test]
fn all_mistakes_are_reported_together_in_one_line_without_values() {
    let error = read(&[
        (&LISTEN, "s3cret"),
        (&METRICS_LISTEN, "s3cret"),
        (&HEALTH_LISTEN, "s3cret"),
        (&TLS_CLIENT_CA_FILE, "/s3cret"),
        (&TLS_CLIENT_CERTIFICATE, "s3cret"),
        (&ALLOW_ANONYMOUS, "s3cret"),
        (&ALLOW_PLAINTEXT, "yes"),
        (&OPEN_REFLECTION, "1"),
        (&DEFAULT_APP, "s3cret"),
        (&UPSTREAM_URL, "http://s3cret.example/"),
        (&UPSTREAM_PROXY, "s3cret"),
        (&UPSTREAM_CA_FILE, "/s3cret"),
        (&UPSTREAM_CONNECT_TIMEOUT, "0s"),
        (&UPSTREAM_IDLE_TIMEOUT, "s3cret"),
        (&UPSTREAM_CONNECTION_LIFETIME, "366days"),
        (&UPSTREAM_MAX_IN_FLIGHT, "0"),
        (&UPSTREAM_MAX_WAITING, "many"),
        (&UPSTREAM_MAX_WAIT, "1"),
        (&MAX_REPLY_BYTES, "0"),
        (&WORKER_THREADS, "1025"),
        (&MAX_REQUEST_BYTES, "4294967296"),
        (&DEFAULT_DEADLINE, "61s"),
        (&MAX_CONNECTIONS, "0"),
        (&MAX_CONCURRENT_STREAMS, "s3cret"),
        (&MAX_HEADER_BYTES, "16KiB"),
        (&HANDSHAKE_TIMEOUT, "0s"),
        (&KEEPALIVE_TIME, "s3cret"),
        (&KEEPALIVE_TIMEOUT, "0s"),
        (&MAX_CONNECTION_IDLE, "5"),
        (&MAX_CONNECTION_AGE, "s3cret"),
        (&MAX_CONNECTION_AGE_GRACE, "-1s"),
        (&LAME_DUCK, "-1s"),
        (&SHUTDOWN_GRACE, "-1s"),
        (&DELETE_USER_TOKEN_OP, "s3cret"),
        (&ERROR_CODES, "NOCREDIT=s3cret"),
        (&LOG, "s3cret"),
        (&LOG_FORMAT, "s3cret"),
        (&APP_TOKEN, "s3cret s3cret"),
    ])
    .unwrap_err();
    for setting in SERVE.into_iter().chain(FACADE) {
        let wrong = ![
            &CONFIG,
            &APP_TOKEN_FILE,
            &MAX_DEADLINE,
            &TLS_KEY_FILE,
            &TLS_CLIENT_CA_FILE,
        ]
        .contains(&setting);
        assert_eq!(
            error.contains(&format!("{}: expected", setting.name)),
            wrong && setting != &UPSTREAM_CA_FILE,
            "{} in {error}",
            setting.name
        );
    }
    assert!(
        error.contains("upstream-ca-file: cannot read the file"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn an_upstream_url_is_https_or_loopback_and_nothing_more() {
    for url in [
        "https://on-premise.example:8443/backend/",
        "http://localhost:1/api.php",
        "http://[::1]/",
    ] {
        assert!(
            read(&[(&APP_TOKEN, "t0k"), (&UPSTREAM_URL, url)]).is_ok(),
            "{url}"
        );
    }
    for url in [
        "",
        "api.mesibo.com",
        "ftp://127.0.0.1/",
        "http://10.0.0.1/",
        "https://user@api.mesibo.com/",
        "https://api.mesibo.com/api.php?token=1",
        "https://api.mesibo.com/#x",
    ] {
        assert!(
            read(&[(&APP_TOKEN, "t0k"), (&UPSTREAM_URL, url)]).is_err(),
            "{url}"
        );
    }
}

#[test]
fn the_token_comes_from_one_place() {
    let holds = file("t0k\n");
    let path = holds.path().to_str().unwrap();
    assert!(read(&[(&APP_TOKEN_FILE, path)]).is_ok());
    for wrong in [
        vec![],
        vec![(&APP_TOKEN, "t0k"), (&APP_TOKEN_FILE, path)],
        vec![(&APP_TOKEN, " ")],
        vec![(&APP_TOKEN_FILE, "/nowhere")],
    ] {
        let error = read(&wrong).unwrap_err();
        assert!(error.starts_with("app-token"), "{error}");
    }
}

#[test]
fn a_file_gives_what_flags_and_environment_leave_out() {
    let holds = file(
        "listen = \"127.0.0.1:1\"\nmax-reply-bytes = 77\nshutdown-grace = \"1s\"\n\
         [error-codes]\nNOCREDIT = \"RESOURCE_EXHAUSTED\"\n",
    );
    let path = holds.path().to_str().unwrap();
    let config = read(&[
        (&APP_TOKEN, "t0k"),
        (&CONFIG, path),
        (&LISTEN, "127.0.0.1:2"),
    ])
    .unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.shutdown_grace.as_secs(), 1);
    assert_eq!(config.apps[0].upstream.max_reply_bytes, 77);
    assert_eq!(
        config.error_codes.get("NOCREDIT"),
        tonic::Code::ResourceExhausted
    );
}

#[test]
fn a_wrong_file_is_told_without_its_values() {
    for (content, expected) in [
        (
            "listen = \"a\"\ns3cret",
            "config: expected TOML, but line 2 is not",
        ),
        ("port = 1", "config: the file has port, which is no setting"),
        (
            "app-token = \"s3cret\"",
            "config: the file has app-token, which is no setting",
        ),
        (
            "listen = [\"s3cret\"]",
            "config: the file has listen as something other than its value",
        ),
        (
            "listen = \"s3cret\"",
            "listen: expected an IP address and a port, such as 127.0.0.1:50051",
        ),
        (
            "[error-codes]\nX = \"OK\"",
            "error-codes: expected Mesibo's error codes with a gRPC status each, such as NOCREDIT=RESOURCE_EXHAUSTED, and never OK",
        ),
    ] {
        let holds = file(content);
        let path = holds.path().to_str().unwrap();
        assert_eq!(
            read(&[(&APP_TOKEN, "t0k"), (&CONFIG, path)]).unwrap_err(),
            expected,
            "{content}"
        );
    }
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let config = read(&[
        (&APP_TOKEN, "s3cret"),
        (&UPSTREAM_PROXY, "http://user:s3cret@127.0.0.1:3128"),
    ])
    .unwrap();
    let debug = format!("{config:?}");
    assert!(debug.contains("http://127.0.0.1:3128"), "{debug}");
    assert!(!debug.contains("s3cret"), "{debug}");
}

#[test]
fn the_sandbox_reaches_its_emulator_on_this_machine() {
    for (listen, url) in [
        ("0.0.0.0:7", "http://127.0.0.1:7/api.php"),
        ("[::]:7", "http://[::1]:7/api.php"),
        ("127.0.0.2:7", "http://127.0.0.2:7/api.php"),
    ] {
        assert_eq!(sandbox_url(listen.parse().unwrap()).as_str(), url);
    }
}
