//! `check --online`: what a call to Mesibo means.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::stdout;
use crate::{
    support::{Answer, Backend, TOKEN, process::command},
    upstream::tls_backend_of,
};

fn check(url: &str, args: &[&str]) -> Output {
    let mut command = command(&["check", "--online", "--upstream-url", url]);
    command.args(args).env("MESIBO_APP_TOKEN", TOKEN);
    command.output().unwrap()
}

/// What is said of the token, in the end of its line, and the exit status.
fn told(output: &Output) -> (String, Option<i32>) {
    let told = stdout(output);
    let line = told
        .lines()
        .find(|line| line.contains("token of default: "));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    (line.to_owned(), output.status.code())
}

#[test]
fn one_harmless_call_says_whether_mesibo_takes_the_token() {
    let backend = Backend::always(Answer::ok(r#"{"result": true, "users": []}"#));
    let (line, status) = told(&check(&backend.url(), &[]));
    assert!(line.starts_with("ok       token of default: Mesibo takes it, and answered in "));
    assert_eq!(status, Some(0));
    let request = backend.only_request();
    let form: Vec<_> = request.form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(form, ["count", "op", "token"]);
    assert_eq!(request.get("op"), Some("usersget"));
    assert_eq!(request.get("count"), Some("1"));

    // Without the flag nothing leaves.
    let mut offline = command(&["check", "--upstream-url", &backend.url()]);
    let output = offline.env("MESIBO_APP_TOKEN", TOKEN).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn each_answer_that_is_no_list_is_explained() {
    let refused = |code: &str| Answer::ok(format!(r#"{{"result": false, "error": "{code}"}}"#));
    for (answer, status, says) in [
        (
            refused("AUTHFAIL"),
            2,
            "Mesibo rejects it (AUTHFAIL): it is no token of an application, or it was changed; \
             put the one that Mesibo's console shows into the environment",
        ),
        (
            refused("TOKENBREACH"),
            2,
            "Mesibo has disabled the application (TOKENBREACH), for its token was used from more \
             than five IP addresses: let all servers leave by one, such as a NAT or \
             upstream-proxy, and ask Mesibo to enable it again",
        ),
        (
            refused("NOTALLOWED"),
            2,
            "Mesibo refuses to list users (NOTALLOWED): see docs/errors.md",
        ),
        (
            Answer::http(502, &[], ""),
            1,
            "Mesibo, or a gateway before it, answers with HTTP status 502",
        ),
        (
            Answer::http(403, &[], "no"),
            2,
            "HTTP status 403 without a reply: something other than the API answers, such as a \
             proxy or a firewall, or upstream-url is not where the API is",
        ),
        (
            Answer::http(302, &[("location", "http://127.0.0.1:1/")], ""),
            2,
            "HTTP status 302 leads elsewhere, which is not followed, for the token would go \
             along: upstream-url is not where the API is",
        ),
    ] {
        let backend = Backend::always(answer);
        let (line, code) = told(&check(&backend.url(), &[]));
        assert_eq!(line, format!("failure  token of default: {says}"));
        assert_eq!(code, Some(status), "{line}");
    }
    let page = Backend::always(Answer::ok("<html>Welcome</html>"));
    let (line, code) = told(&check(&page.url(), &[]));
    let says = "failure  token of default: something other than the API answers at upstream-url: ";
    assert!(line.starts_with(says), "{line}");
    assert_eq!(code, Some(2));
}

#[test]
fn a_way_that_is_closed_is_explained() {
    // Nothing listens.
    let (line, code) = told(&check("http://127.0.0.1:1/", &[]));
    assert!(
        line.starts_with("failure  token of default: no connection: "),
        "{line}"
    );
    assert!(line.ends_with("; nothing listens there"), "{line}");
    assert_eq!(code, Some(1));

    // A server without TLS answers the first bytes of a handshake with words.
    let plaintext = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", plaintext.local_addr().unwrap());
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    let address = plaintext.local_addr().unwrap();
    let server = thread::spawn(move || {
        for stream in plaintext.incoming() {
            if ends.load(Ordering::Relaxed) {
                return;
            }
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        }
    });
    let (line, code) = told(&check(&url, &[]));
    let says = "failure  token of default: the TLS handshake failed: ";
    assert!(line.starts_with(says), "{line}");
    assert!(line.ends_with("; the port does not speak TLS"), "{line}");
    assert_eq!(code, Some(2));
    is_over.store(true, Ordering::Relaxed);
    TcpStream::connect(address).unwrap();
    server.join().unwrap();

    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let proxy = format!("http://{address}");
    let args = [
        "--upstream-proxy",
        &proxy,
        "--upstream-connect-timeout",
        "1s",
    ];
    let output = check("https://mesibo.invalid/api.php", &args);
    let says = format!(
        "warning  upstream-proxy: cannot connect to {address}: Connection refused (os error 111); \
         no call leaves without it"
    );
    assert!(
        stdout(&output).lines().any(|line| line == says),
        "{output:?}"
    );
    assert_eq!(told(&output).1, Some(1));
}

#[test]
fn a_proxy_that_refuses_the_way_is_explained() {
    for (status, says) in [
        (
            407,
            "it wants a user and a password: see upstream-proxy-password-file",
        ),
        (
            403,
            "it does not let this machine connect to the host of upstream-url",
        ),
    ] {
        let proxy = Backend::always(Answer::http(status, &[], ""));
        let url = proxy.url();
        let origin = url.trim_end_matches("/api.php").trim_end_matches('/');
        let args = ["--upstream-proxy", origin];
        let (line, code) = told(&check("https://mesibo.invalid/api.php", &args));
        let begins = "failure  token of default: upstream-proxy refuses the way: ";
        assert!(line.starts_with(begins), "{line}");
        assert!(line.ends_with(says), "{line}");
        assert_eq!(code, Some(2));
    }
}

#[test]
fn a_server_that_does_not_speak_the_version_of_http_that_is_wanted_is_explained() {
    for (wanted, offers, outcome, says) in [
        (
            "http2",
            &["http/1.1"][..],
            2,
            "; it does not speak the version of HTTP that upstream-protocol wants",
        ),
        ("http2", &[][..], 1, "; look at upstream-protocol"),
        (
            "http1",
            &["h2"][..],
            2,
            "; it does not speak the version of HTTP that upstream-protocol wants",
        ),
    ] {
        let (backend, certificate) = tls_backend_of("localhost", offers);
        let url = format!("https://localhost:{}/", backend.addr().port());
        let authority = certificate.path().to_str().unwrap();
        let args = [
            "--upstream-protocol",
            wanted,
            "--upstream-ca-file",
            authority,
        ];
        let (line, code) = told(&check(&url, &args));
        assert!(line.ends_with(says), "{line}");
        assert_eq!(code, Some(outcome), "{line}");
    }
}
