mod random;
mod tables;

use std::{collections::HashMap, fs, io::Write as _};

use tempfile::NamedTempFile;

use super::*;

/// Settings by their names.
fn read(values: &[(&str, &str)]) -> Result<Config, String> {
    let values: HashMap<_, _> = values.iter().copied().collect();
    let known: Vec<_> = Config::settings().iter().map(|it| it.name).collect();
    assert!(values.keys().all(|name| known.contains(name)), "{values:?}");
    Config::read(|setting| values.get(setting.name).map(|&value| value.to_owned()))
        .map_err(|error| error.to_string())
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{content}").unwrap();
    file
}

/// The path of a file, and what a message has in its place.
fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn every_default_is_valid_and_as_documented() {
    let config = read(&[("app-token", "t0k")]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(
        config.apps[0].upstream.url.as_str(),
        "https://api.mesibo.com/api.php"
    );
    assert_eq!(config.server.deadlines.default.as_secs(), 15);
    assert_eq!(config.server.deadlines.longest.as_secs(), 60);
    let limits = config.server.limits;
    assert_eq!(limits.max_connections, 10_000);
    assert_eq!(limits.max_connections_per_address, 256);
    assert!(!limits.loopback_is_limited);
    assert_eq!(limits.max_request_memory, 256 << 20);
    assert_eq!(limits.max_request_memory_per_connection, 32 << 20);
    assert_eq!(limits.request_body_timeout.as_secs(), 30);
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
    assert_eq!(config.server.limits.max_request_bytes, 4 << 20);
    assert_eq!(config.token_deletion, TokenDeletion::UserToken);
    assert_eq!(config.error_codes, ErrorCodes::default());
    assert!(config.apps[0].upstream.proxy.is_none());
}

#[test]
fn the_largest_message_has_room_in_the_memory_for_requests() {
    let of =
        |settings: &[(&str, &str)]| read(&[&[("app-token", "t0k")], settings].concat()).map(drop);
    let fits = [
        ("max-request-memory", "6029316"),
        ("max-request-memory-per-connection", "4521984"),
    ];
    of(&fits).unwrap();
    let error = of(&[
        ("max-request-memory", "5000000"),
        ("max-request-memory-per-connection", "4194304"),
    ]);
    assert_eq!(
        error.unwrap_err(),
        "max-request-memory-per-connection: expected at least 4521984, so that a message of \
         max-request-bytes has room\n\
         max-request-memory: expected at least 6029316, so that a message of \
         max-request-bytes has room"
    );
}

/// Settings with values that are wrong and no secrets.
const WRONG: &[(&str, &str)] = &[
    ("listen", "wr0ng"),
    ("metrics-listen", "wr0ng"),
    ("health-listen", "wr0ng"),
    ("tls-client-certificate", "wr0ng"),
    ("allow-anonymous", "wr0ng"),
    ("allow-plaintext", "yes"),
    ("open-reflection", "1"),
    ("default-app", "wr0ng"),
    ("upstream-protocol", "http3"),
    ("upstream-connect-timeout", "0s"),
    ("upstream-idle-timeout", "wr0ng"),
    ("upstream-connection-lifetime", "366days"),
    ("upstream-max-in-flight", "0"),
    ("upstream-max-waiting", "many"),
    ("upstream-max-wait", "1"),
    ("max-reply-bytes", "0"),
    ("worker-threads", "1025"),
    ("max-request-bytes", "4294967296"),
    ("max-connections", "0"),
    ("max-connections-per-address", "0"),
    ("max-request-memory", "256MiB"),
    ("max-request-memory-per-connection", "0"),
    ("request-body-timeout", "0s"),
    ("stream-window", "0"),
    ("stream-idle-timeout", "5"),
    ("max-concurrent-streams", "wr0ng"),
    ("max-header-bytes", "16KiB"),
    ("handshake-timeout", "0s"),
    ("keepalive-time", "wr0ng"),
    ("keepalive-timeout", "0s"),
    ("max-connection-idle", "5"),
    ("max-connection-age", "wr0ng"),
    ("max-connection-age-grace", "-1s"),
    ("lame-duck", "-1s"),
    ("shutdown-grace", "-1s"),
    ("delete-user-token-op", "wr0ng"),
    ("error-codes", "NOCREDIT=wr0ng"),
    ("log", "wr0ng"),
    ("log-format", "wr0ng"),
    ("audit-log", ""),
    ("audit-on-failure", "wr0ng"),
    ("proxy-protocol", "wr0ng"),
    ("store-allow-plaintext", "wr0ng"),
    ("store-max-connections", "3"),
    ("store-timeout", "0s"),
    ("protocols", "wr0ng"),
    ("cors-origins", "wr0ng"),
    ("directory", "wr0ng"),
    ("directory-lookup-interval", "0s"),
    ("request-id-retention", "wr0ng"),
    ("request-ids-per-caller", "0"),
];

#[test]
fn all_mistakes_are_reported_together_one_a_line_with_the_values_that_are_no_secrets() {
    let wrong = WRONG;
    let secret = [
        ("upstream-url", "http://s3cret.example/"),
        ("upstream-proxy", "s3cret"),
        ("app-token", "s3cret s3cret"),
        ("store", "postgres://u:s3cret@h/d"),
    ];
    let others = [
        ("upstream-ca-file", "/nowhere/s3en"),
        ("tls-client-ca-file", "/nowhere"),
        ("upstream-proxy-password-file", "/nowhere"),
        ("store-password-file", "/nowhere"),
        ("default-deadline", "61s"),
    ];
    let error = read(&[wrong, &secret[..], &others[..]].concat()).unwrap_err();
    for (name, value) in wrong {
        let line = error
            .lines()
            .find(|line| line.starts_with(&format!("{name}: expected")));
        let line = line.unwrap_or_else(|| panic!("{name} in {error}"));
        assert!(line.ends_with(&format!("({value:?})")), "{line}");
    }
    for line in [
        "upstream-url: expected https: plain HTTP is for a loopback address",
        "upstream-proxy: expected the URL of an HTTP proxy, such as http://10.0.0.1:3128",
        "app-token: expected one token, without white space",
        "store: the URL must not hold the password: give it in a file, or in PGPASSWORD",
        "upstream-ca-file: cannot read the file: No such file or directory (os error 2) \
         (\"/nowhere/s3en\")",
        "tls-certificate-file: expected together with tls-key-file, and tls-client-ca-file with \
         both",
        "default-deadline: expected at most max-deadline, and 61s is more than 60s",
    ] {
        assert!(
            error.lines().any(|found| found == line),
            "{line} in {error}"
        );
    }
    assert!(!error.contains("s3cret"), "{error}");
    let mistakes = wrong.len() + secret.len() + others.len();
    assert_eq!(error.lines().count(), mistakes, "{error}");
    let never_wrong = ["config", "app-token-file", "max-deadline", "store-ca-file"];
    let of_one_mistake = [
        "tls-certificate-file",
        "tls-key-file",
        "tls-client-crl-file",
    ];
    let settings = Config::settings().len();
    assert_eq!(
        mistakes + never_wrong.len() + of_one_mistake.len(),
        settings,
        "each setting is among them"
    );
}

#[test]
fn a_mistake_names_the_place_of_its_value() {
    let holds = file("max-deadline = \"70s\"\n\nlog = 'loud'\nlog-format = ['json']\n");
    let read = Config::read(|setting| {
        let given = |value: &str, origin| Some(Given::new(value.into(), origin));
        match setting.name {
            "config" => given(path(&holds), Origin::Flag),
            "listen" => given("nowhere", Origin::Flag),
            "health-listen" => given("a\nb", Origin::Variable),
            "app-token" => given("s3cret s3cret", Origin::Variable),
            "upstream-url" => given("s3cret", Origin::Program),
            _ => None,
        }
    });
    let address = "expected an IP address and a port, such as 127.0.0.1:50051";
    let expected = [
        "log-format: expected one value, not a list (FILE:4)".into(),
        "upstream-url: expected a URL, such as https://api.mesibo.com/api.php".into(),
        "app-token: expected one token, without white space (MESIBO_APP_TOKEN)".into(),
        format!("listen: {address} (--listen: \"nowhere\")"),
        format!("health-listen: {address} (MESIBO_GRPC_HEALTH_LISTEN: \"a\\nb\")"),
        "log: expected off, error, warn, info, debug or trace, or a list such as \
         warn,mesibo_grpc=debug (FILE:3: \"loud\")"
            .into(),
    ];
    let error = read.unwrap_err().to_string().replace(path(&holds), "FILE");
    assert_eq!(error, expected.join("\n"));
}

#[test]
fn an_upstream_url_is_https_or_loopback_and_nothing_more() {
    for url in [
        "https://on-premise.example:8443/backend/",
        "http://localhost:1/api.php",
        "http://[::1]/",
    ] {
        assert!(
            read(&[("app-token", "t0k"), ("upstream-url", url)]).is_ok(),
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
            read(&[("app-token", "t0k"), ("upstream-url", url)]).is_err(),
            "{url}"
        );
    }
}

#[test]
fn the_token_comes_from_one_place() {
    let holds = file("t0k\n");
    let path = path(&holds);
    assert!(read(&[("app-token-file", path)]).is_ok());
    for wrong in [
        vec![],
        vec![("app-token", "t0k"), ("app-token-file", path)],
        vec![("app-token", " ")],
        vec![("app-token-file", "/nowhere")],
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
    let path = path(&holds);
    let config = read(&[
        ("app-token", "t0k"),
        ("config", path),
        ("listen", "127.0.0.1:2"),
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
fn each_mistake_in_a_file_is_told_with_its_line_and_without_secrets() {
    for (content, expected) in [
        (
            "listen = \"a\"\ns3cret",
            "config: expected TOML: key with no value, expected `=` (FILE:2)",
        ),
        (
            "upstream-proxy = \"http://user:s3cret@x\ny",
            "config: expected TOML: invalid basic string, expected `\"` (FILE:1)",
        ),
        (
            "port = 1\n\nlistne = 1",
            "listne: no such setting; did you mean listen? (FILE:3)\n\
             port: no such setting (FILE:1)",
        ),
        (
            "app-token = \"s3cret\"",
            "app-token: no such setting; did you mean app-token-file? (FILE:1)",
        ),
        (
            "[caller.x]\n",
            "caller: no such setting; did you mean callers? (FILE:1)",
        ),
        (
            "listen = [\"s3cret\"]",
            "listen: expected one value, not a list (FILE:1)",
        ),
        (
            "[error-codes]\nX = [\"ABORTED\"]",
            "error-codes: expected one value, not a list (FILE:1)",
        ),
        (
            "listen = \"nowhere\"\nmax-deadline = 0x7",
            "max-deadline: expected a time from 1ms to 365days, such as 15s or 5m (FILE:2: \
             \"7\")\n\
             listen: expected an IP address and a port, such as 127.0.0.1:50051 (FILE:1: \
             \"nowhere\")",
        ),
        (
            "[error-codes]\nX = \"OK\"",
            "error-codes: expected Mesibo's error codes with a gRPC status each, such as \
             NOCREDIT=RESOURCE_EXHAUSTED, and never OK (FILE:1: \"X=OK\")",
        ),
    ] {
        let holds = file(content);
        let error = read(&[("app-token", "t0k"), ("config", path(&holds))]).unwrap_err();
        assert_eq!(error.replace(path(&holds), "FILE"), expected, "{content}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let mut holds = NamedTempFile::new().unwrap();
    for (content, line) in [("listen = \"127.0.0.1:0\"", 1), ("\n[callers.x]", 2)] {
        fs::write(holds.path(), content).unwrap();
        let error = read(&[("app-token", "t0k"), ("config", path(&holds))]).unwrap_err();
        let what = "expected a newline at the end, without which the file may be incomplete";
        let expected = format!("config: {what} ({}:{line})", path(&holds));
        assert_eq!(error, expected);
    }
    holds.as_file_mut().set_len(0).unwrap();
    read(&[("app-token", "t0k"), ("config", path(&holds))]).unwrap();
}

#[test]
fn the_password_of_a_proxy_may_have_a_file_of_its_own() {
    let holds = file("p@ss:word");
    let with = |proxy| {
        read(&[
            ("app-token", "t0k"),
            ("upstream-proxy", proxy),
            ("upstream-proxy-password-file", path(&holds)),
        ])
    };
    let config = with("http://user@127.0.0.1:3128").unwrap();
    let proxy = config.apps[0].upstream.proxy.as_ref().unwrap();
    assert_eq!(
        proxy.0.as_str(),
        "http://user:p%40ss%3Aword@127.0.0.1:3128/"
    );
    for wrong in ["http://127.0.0.1:3128", "http://user:other@127.0.0.1:3128"] {
        assert_eq!(
            with(wrong).unwrap_err(),
            "upstream-proxy: expected a user without a password, for upstream-proxy-password-file"
        );
    }
    let error = read(&[
        ("app-token", "t0k"),
        ("upstream-proxy-password-file", path(&holds)),
    ]);
    assert!(
        error
            .unwrap_err()
            .starts_with("upstream-proxy: expected a user")
    );
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let config = read(&[
        ("app-token", "s3cret"),
        ("upstream-proxy", "http://user:s3cret@127.0.0.1:3128"),
    ])
    .unwrap();
    let debug = format!("{config:?}");
    assert!(debug.contains("http://127.0.0.1:3128"), "{debug}");
    assert!(!debug.contains("s3cret"), "{debug}");

    let holds = file("upstream-proxy = \"http://user:s3cret@127.0.0.1:3128\"\n");
    let config = read(&[("app-token", "t0k"), ("config", path(&holds))]).unwrap();
    assert!(config.caller_file.is_some());
    let debug = format!("{config:?}");
    assert!(!debug.contains("s3cret"), "{debug}");
}

#[test]
fn the_settings_of_a_command_do_not_depend_on_their_values() {
    let holds = file("[apps.one]\n[callers.one]\n");
    for values in [
        &[("config", path(&holds))][..],
        &[("app-token", "t0k"), ("tls-key-file", "/nowhere")],
    ] {
        let asked = RefCell::new(Vec::new());
        let _ = Config::read(|setting| {
            asked.borrow_mut().push(setting.name);
            let value = values.iter().find(|(name, _)| *name == setting.name);
            value.map(|(_, value)| (*value).to_owned())
        });
        let mut asked = asked.into_inner();
        let mut settings: Vec<_> = Config::settings().iter().map(|it| it.name).collect();
        asked.sort_unstable();
        asked.dedup();
        settings.sort_unstable();
        assert_eq!(asked, settings);
    }
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
