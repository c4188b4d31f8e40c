//! The program as a process: its settings, its signals, its exit statuses.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{DeleteUserRequest, user_service_client::UserServiceClient};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    Answer, Backend, Process, TOKEN, facade::soon, http2::Peer, process::command, settings_file,
};

fn run(args: &[&str], token: Option<&str>) -> Output {
    let mut command = command(args);
    if let Some(token) = token {
        command.env("MESIBO_APP_TOKEN", token);
    }
    command.output().unwrap()
}

/// Asserts a start that a wrong setting stops: exit status 2, and one line.
pub fn assert_refused(output: &Output, says: &str) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("mesibo-grpc: "), "{stderr}");
    assert!(stderr.contains(says), "{stderr} lacks {says}");
    assert!(output.stdout.is_empty());
}

/// Asserts a command line that does not fit: exit status 2, and what clap says.
fn assert_misused(output: &Output, says: &str) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.starts_with("mesibo-grpc: "), "{stderr}");
    assert!(stderr.contains(says), "{stderr} lacks {says}");
    assert!(stderr.contains("--help"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn each_wrong_setting_stops_the_start_with_one_line() {
    for (flag, value) in [
        ("--metrics-listen", "nowhere"),
        ("--listen", "nowhere"),
        ("--listen", "127.0.0.1"),
        ("--listen", "127.0.0.1:65536"),
        ("--upstream-url", "http://api.mesibo.com/api.php"),
        ("--upstream-proxy", "10.0.0.1"),
        ("--upstream-ca-file", "/nowhere"),
        ("--upstream-connect-timeout", "3"),
        ("--upstream-idle-timeout", "never"),
        ("--upstream-connection-lifetime", "-5m"),
        ("--upstream-max-in-flight", "0"),
        ("--upstream-max-waiting", "-1"),
        ("--upstream-max-wait", "500"),
        ("--max-reply-bytes", "1MiB"),
        ("--max-request-bytes", "0"),
        ("--default-deadline", "2m"),
        ("--max-deadline", "1s"),
        ("--max-connections", "0"),
        ("--max-concurrent-streams", "-1"),
        ("--max-header-bytes", "16KiB"),
        ("--handshake-timeout", "0s"),
        ("--keepalive-time", "1"),
        ("--keepalive-timeout", "never"),
        ("--max-connection-idle", "5"),
        ("--max-connection-age", "x"),
        ("--max-connection-age-grace", "0"),
        ("--lame-duck", "5"),
        ("--shutdown-grace", "x"),
        ("--delete-user-token-op", "useredit"),
        ("--error-codes", "NOCREDIT"),
        ("--log", "loud"),
        ("--config", "/nowhere"),
        ("--app-token-file", "/nowhere"),
    ] {
        let output = run(&["serve", &format!("{flag}={value}")], Some(TOKEN));
        let says = flag.trim_start_matches("--");
        // Two settings contradict each other under the name of one.
        let says = says.replace("max-deadline", "default-deadline");
        assert_refused(&output, &says);
    }
}

#[test]
fn a_wrong_environment_variable_or_file_stops_the_start_as_well() {
    let mut serve = command(&["serve"]);
    serve.env("MESIBO_APP_TOKEN", TOKEN);
    serve.env("MESIBO_GRPC_LISTEN", "nowhere");
    let expected = "listen: expected an IP address and a port, such as 127.0.0.1:50051";
    assert_refused(
        &serve.output().unwrap(),
        &format!("{expected} (MESIBO_GRPC_LISTEN: \"nowhere\")"),
    );

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listen = 7\n").unwrap();
    let path = file.path().to_str().unwrap();
    let output = run(&["serve", "--config", path], Some(TOKEN));
    assert_refused(&output, &format!("{expected} ({path}:1: \"7\")"));
}

#[test]
fn serve_needs_one_token_and_never_falls_back_to_the_sandbox() {
    assert_refused(&run(&["serve"], None), "MESIBO_APP_TOKEN");
    assert_refused(&run(&["serve"], Some("")), "app-token: expected");
}

#[test]
fn several_wrong_settings_are_told_one_a_line() {
    let args = ["serve", "--listen=a", "--log=b", "--lame-duck=c"];
    let output = run(&args, Some(TOKEN));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let mut lines: Vec<_> = stderr.lines().collect();
    lines.sort_unstable();
    let expected = [
        "mesibo-grpc: lame-duck: expected a time from 0s to 365days, such as 5s (--lame-duck: \
         \"c\")",
        "mesibo-grpc: listen: expected an IP address and a port, such as 127.0.0.1:50051 \
         (--listen: \"a\")",
        "mesibo-grpc: log: expected off, error, warn, info, debug or trace, or a list such as \
         warn,mesibo_grpc=debug (--log: \"b\")",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_wrong_command_line_is_told_with_what_is_missing_or_meant() {
    for (args, says) in [
        (&[][..], "requires a subcommand but one was not provided"),
        (
            &["server"],
            "some similar subcommands exist: 'store', 'serve'",
        ),
        (&["srve"], "a similar subcommand exists: 'serve'"),
        (&["serve", "--port", "1"], "'--port'"),
        (
            &["serve", "--lisen", "1"],
            "a similar argument exists: '--listen'",
        ),
        (&["sandbox", "--upstream-url", "x"], "'--upstream-url'"),
        (&["serve", "--listen"], "'--listen <ADDR>'"),
        (&["key"], "<NAME>"),
        (&["completions"], "<SHELL>"),
        (&["man"], "<FOLDER>"),
        (&["completions", "tcsh"], "possible values: bash"),
        (&["key", "Orders"], "expected 1 to 63 of"),
    ] {
        assert_misused(&run(args, Some(TOKEN)), says);
    }
    for (args, says) in [
        (&["sandbox", "--emulator-listen", "x"], "emulator-listen"),
        (&["health", "--address", "127.0.0.1:50051"], "address"),
    ] {
        assert_refused(&run(args, Some(TOKEN)), says);
    }
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--listen", &taken], Some(TOKEN));
    let stderr = String::from_utf8(output.stderr).unwrap();
    // The other program may end: systemd tries again.
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let says = format!("mesibo-grpc: listen: cannot listen on {taken}: Address already in use");
    let is_told = stderr.lines().any(|line| line.starts_with(&says));
    assert!(is_told, "{stderr}");
}

#[test]
fn help_tells_every_setting_and_the_version_is_shown() {
    let help = run(&["serve", "--help"], None);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    // Lines end where the terminal ends.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for says in [
        "--listen <ADDR>",
        "MESIBO_GRPC_LISTEN",
        "[default: 127.0.0.1:50051]",
        "MESIBO_APP_TOKEN",
    ] {
        assert!(help.contains(says), "{help}");
    }
    let version = run(&["--version"], None);
    let expected = concat!("mesibo-grpc ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell], None);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("serve") && text.contains("log-format"));
        assert!(!text.contains("app-token "), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(run(&["man", path], None).status.success());
    let page = std::fs::read_to_string(folder.path().join("mesibo-grpc-serve.1")).unwrap();
    assert!(page.contains("\\-\\-listen"), "{page}");
    assert!(folder.path().join("mesibo-grpc.1").exists());
    assert_refused(&run(&["man", "/nowhere"], None), "cannot write to /nowhere");
}

#[test]
fn a_key_is_alone_on_standard_output_and_its_settings_entry_beside_it() {
    let made = run(&["key", "orders"], None);
    let (key, entry) = key_and_entry(&made);
    assert!(key.starts_with("mgk_"), "{made:?}");
    assert_eq!(made.stdout, format!("{key}\n").into_bytes());
    assert!(!entry.contains(&key), "{entry}");
    let settings = settings_file(&entry);
    let config = ["--config", settings.path().to_str().unwrap()];
    let served = Process::serve("http://127.0.0.1:1/", &config);
    drop(served);
    assert_ne!(key_and_entry(&run(&["key", "orders"], None)).0, key);
}

/// The key and the settings entry that `key` prints.
pub fn key_and_entry(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{output:?}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout).trim().to_owned(), text(&output.stderr))
}

#[test]
fn a_variable_that_is_no_setting_stops_the_start() {
    let mut serve = command(&["serve", "--listen", "nowhere"]);
    serve.env("MESIBO_APP_TOKEN", TOKEN);
    serve.env("MESIBO_GRPC_LISTNE", "127.0.0.1:1");
    // Kubernetes makes it for a Service of this name.
    serve.env("MESIBO_GRPC_PORT", "tcp://10.0.0.1:50051");
    let output = serve.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let [unknown, wrong] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{stderr}");
    };
    assert_eq!(
        unknown,
        "mesibo-grpc: MESIBO_GRPC_LISTNE: no such setting; did you mean MESIBO_GRPC_LISTEN?"
    );
    assert!(
        wrong.starts_with("mesibo-grpc: listen: expected"),
        "{wrong}"
    );
}

#[test]
fn the_password_of_a_proxy_is_no_flag() {
    let output = run(
        &["serve", "--upstream-proxy=http://user:s3ntinel@127.0.0.1:1"],
        Some(TOKEN),
    );
    let says = "upstream-proxy: expected no password on the command line, which every user of \
                the machine can read: it belongs into upstream-proxy-password-file, or the whole \
                URL into MESIBO_GRPC_UPSTREAM_PROXY or the settings file (--upstream-proxy)";
    assert_refused(&output, says);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3ntinel"));
}

#[test]
fn short_help_fits_a_screen_and_long_help_has_groups_and_examples() {
    for command in ["serve", "sandbox", "health"] {
        let short = String::from_utf8(run(&[command, "-h"], None).stdout).unwrap();
        assert!(short.lines().count() <= 40, "{short}");
    }
    let help = String::from_utf8(run(&["serve", "--help"], None).stdout).unwrap();
    for heading in [
        "Listening:",
        "TLS:",
        "Callers:",
        "Mesibo:",
        "Requests to Mesibo:",
        "Limits of calls and connections:",
        "Shutdown:",
        "Logs and metrics:",
    ] {
        // The group, and its example.
        let count = help.lines().filter(|line| line.trim() == heading).count();
        assert_eq!(count, 2, "{heading} in {help}");
    }
}

#[tokio::test]
async fn settings_come_from_flags_then_environment_then_file() {
    let backend = Backend::always(Answer::ok(r#"{"result": false, "error": "X"}"#));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "upstream-url = '{}'\nlisten = 'wrong'\nlog = 'wrong'\n[error-codes]\nX = 'ABORTED'\n",
        backend.url()
    )
    .unwrap();
    let mut serve = command(&["serve", "--config", file.path().to_str().unwrap()]);
    let mut token = tempfile::NamedTempFile::new().unwrap();
    writeln!(token, "{TOKEN}").unwrap();
    serve.env("MESIBO_APP_TOKEN_FILE", token.path());
    serve.env("MESIBO_GRPC_LISTEN", "wrong");
    serve.env("MESIBO_GRPC_LOG", "info");
    let process = Process::start(serve);
    let mut users = UserServiceClient::new(process.channel().await);
    let status = users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::Aborted);
    assert_eq!(backend.only_request().get("token"), Some(TOKEN));
}

#[tokio::test]
async fn the_start_is_logged_with_the_upstream_and_the_proxy_without_its_credentials() {
    let mut serve = command(&["serve", "--upstream-url", "http://127.0.0.1:1/api.php"]);
    serve
        .args(["--delete-user-token-op", "userdel", "--lame-duck", "0s"])
        .env("MESIBO_APP_TOKEN", TOKEN)
        .env(
            "MESIBO_GRPC_UPSTREAM_PROXY",
            "http://user:pass@127.0.0.1:3128",
        );
    let process = Process::start(serve);
    process.signal("TERM");
    let (status, printed, log) = process.wait();
    assert!(status.success());
    assert_eq!(printed, "");
    assert!(log.contains("upstream=http://127.0.0.1:1/api.php"), "{log}");
    assert!(log.contains("http://127.0.0.1:3128"), "{log}");
    assert!(log.contains("userdel, which deletes the user"), "{log}");
    assert!(!log.contains("pass"), "{log}");
}

#[tokio::test]
async fn health_tells_by_its_exit_status_whether_a_server_serves() {
    let process = Process::serve("http://127.0.0.1:1/", &[]);
    let address = format!("http://{}", process.address);
    let health = |args: &[&str]| run(&[&["health", "--address", &address], args].concat(), None);
    for service in ["", "mesibo.v1.UserService", "mesibo.v1.MessageService"] {
        let output = health(&["--service", service]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"SERVING\n");
        assert!(output.stderr.is_empty());
    }
    assert!(health(&[]).status.success());
    let failed = |output: Output, why: &str| {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("mesibo-grpc: cannot ask "), "{stderr}");
        assert!(stderr.ends_with(&format!("{why}\n")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    };
    failed(
        health(&["--service", "nothing"]),
        "it has no service \"nothing\"",
    );
    let tls = format!("https://{}", process.address);
    let output = run(&["health", "--address", &tls], None);
    failed(output, "; perhaps it serves plaintext, at http://");
    process.signal("TERM");
    process.wait();
    failed(
        health(&[]),
        "it refuses connections; is the server running?",
    );

    // A web server, and one that never says a word.
    for (answer, why) in [
        (
            Some("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"),
            "; perhaps it serves TLS, at https://",
        ),
        (None, "it does not answer within 5s"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The client may connect more than once.
            scope.spawn(|| {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    match answer {
                        Some(answer) => drop(stream.write_all(answer.as_bytes())),
                        // Until the client goes away.
                        None => drop(stream.read_to_end(&mut Vec::new())),
                    }
                }
            });
            let output = run(&["health", "--address", &format!("http://{addr}")], None);
            is_over.store(true, Ordering::Relaxed);
            std::net::TcpStream::connect(addr).unwrap();
            failed(output, why);
        });
    }
}

#[tokio::test]
async fn a_signal_lets_calls_in_flight_finish_and_then_ends_the_process_well() {
    for signal in ["TERM", "INT"] {
        let (answer, wait) = std::sync::mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let backend = Backend::scripted(move |_| {
            wait.lock().unwrap().recv().unwrap();
            Answer::ok("OK")
        });
        let process = Process::serve(&backend.url(), &[]);
        let mut users = UserServiceClient::new(process.channel().await);
        let call = tokio::spawn(async move {
            users
                .delete_user(DeleteUserRequest {
                    uid: 7,
                    ..DeleteUserRequest::default()
                })
                .await
        });
        soon(backend.got(1)).await;
        process.signal(signal);
        soon(process.logged("stopping")).await;
        answer.send(()).unwrap();
        soon(call).await.unwrap().unwrap();
        let (status, _, log) = soon(tokio::task::spawn_blocking(move || process.wait()))
            .await
            .unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[tokio::test]
async fn the_grace_period_bounds_a_shutdown() {
    let backend = Backend::always(Answer::Hang);
    let process = Process::serve(&backend.url(), &["--shutdown-grace", "300ms"]);
    let mut users = UserServiceClient::new(process.channel().await);
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;
    process.signal("TERM");
    let (status, _, _) = soon(tokio::task::spawn_blocking(move || process.wait()))
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(soon(call).await.unwrap().is_err());
    soon(backend.hung_up(1)).await;
}

#[tokio::test]
async fn a_shutdown_is_seen_at_once_and_bounded_whatever_peers_do() {
    const LAME_DUCK: Duration = Duration::from_secs(3);
    const GRACE: Duration = Duration::from_secs(1);
    // What a busy machine may add to the second that is allowed.
    const SLACK: Duration = Duration::from_secs(5);
    let backend = Backend::always(Answer::Hang);
    let process = Process::serve(
        &backend.url(),
        &["--lame-duck", "3s", "--shutdown-grace", "1s"],
    );
    let addr: SocketAddr = process.address.parse().unwrap();
    let health = async |channel: Channel| {
        let mut client = HealthClient::new(channel);
        let watch = soon(client.watch(HealthCheckRequest::default())).await;
        let mut watch = watch.unwrap().into_inner();
        let first = soon(watch.message()).await.unwrap().unwrap();
        (watch, first.status())
    };

    let _silent = TcpStream::connect(addr).await.unwrap();
    let mut deaf = Peer::connect(addr).await;
    deaf.watch().await;
    let channel = process.channel().await;
    let (mut watch, status) = health(channel.clone()).await;
    assert_eq!(status, ServingStatus::Serving);
    let mut users = UserServiceClient::new(channel);
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;

    let start = Instant::now();
    process.signal("TERM");
    let status = soon(watch.message()).await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::NotServing);
    let (_late, status) = health(process.channel().await).await;
    assert_eq!(status, ServingStatus::NotServing);

    let (status, _, log) = tokio::task::spawn_blocking(move || process.wait())
        .await
        .unwrap();
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{log}");
    let longest = LAME_DUCK + GRACE + Duration::from_secs(1) + SLACK;
    assert!(took >= LAME_DUCK && took < longest, "{took:?}");
    assert!(soon(call).await.unwrap().is_err());
    soon(backend.hung_up(1)).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let backend = Backend::always(Answer::Hang);
    let process = Process::serve(&backend.url(), &["--shutdown-grace", "10m"]);
    let mut users = UserServiceClient::new(process.channel().await);
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;
    process.signal("TERM");
    soon(process.logged("stopping")).await;
    process.signal("TERM");
    let (status, _, _) = soon(tokio::task::spawn_blocking(move || process.wait()))
        .await
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(soon(call).await.unwrap().is_err());
}
