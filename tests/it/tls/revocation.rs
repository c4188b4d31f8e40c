//! Client certificates that are revoked.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use super::{
    NAME,
    authority::{Authority, Files, Identity},
    connect, list,
    rotation::{reloaded, serve},
};
use crate::{
    program::assert_refused,
    support::{Answer, Backend, EVERYTHING, Process, TOKEN, process::command},
};

struct Fixture {
    authority: Authority,
    clients: Authority,
    files: Files,
    backend: Backend,
    /// An hour from now.
    later: SystemTime,
}

fn fixture() -> Fixture {
    let (authority, clients) = (Authority::new(), Authority::new());
    Fixture {
        files: Files::new(&authority.issue(&[NAME]), &clients.pem),
        backend: Backend::always(Answer::ok(EVERYTHING)),
        later: SystemTime::now() + Duration::from_hours(1),
        authority,
        clients,
    }
}

impl Fixture {
    /// Puts revocation lists into their file, all at once.
    fn set_lists(&self, lists: &str) {
        let [new, file] = ["clients.new", "clients.crl"].map(|name| self.files.path(name));
        fs::write(&new, lists).unwrap();
        fs::rename(new, file).unwrap();
    }

    fn args(&self) -> [String; 2] {
        let file = self.files.path("clients.crl");
        ["--tls-client-crl-file", file.to_str().unwrap()].map(Into::into)
    }

    fn serve(&self, more: &[&str]) -> Process {
        let args = self.args();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        serve(&self.backend, &self.files, true, &[&args, more].concat())
    }

    /// Whether a client with this certificate can make a call.
    async fn lets_in(&self, server: &Process, identity: &Identity) -> bool {
        let pem = &self.authority.pem;
        match connect(&server.address, pem, Some(identity)).await {
            Ok(channel) => list(channel, None).await.is_ok(),
            Err(_) => false,
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_revoked_is_refused_from_the_next_connection_on() {
    let fixture = fixture();
    let [first, second] = ["1.example", "2.example"].map(|name| fixture.clients.issue(&[name]));
    fixture.set_lists(&fixture.clients.revoke(&[&first], fixture.later));
    let server = fixture.serve(&[]);
    assert!(!fixture.lets_in(&server, &first).await);
    assert!(fixture.lets_in(&server, &second).await);

    let lists = fixture.clients.revoke(&[&first, &second], fixture.later);
    fixture.set_lists(&lists);
    reloaded(&server, "ok", 1).await;
    assert!(!fixture.lets_in(&server, &second).await);
    // What is no list leaves the last one in force.
    fixture.set_lists("s3ntinel");
    reloaded(&server, "failed", 1).await;
    assert!(!fixture.lets_in(&server, &second).await);
    fixture.set_lists(&fixture.clients.revoke(&[], fixture.later));
    reloaded(&server, "ok", 2).await;
    assert!(fixture.lets_in(&server, &first).await);
}

#[tokio::test]
async fn whether_a_certificate_is_revoked_must_be_known() {
    let fixture = fixture();
    let client = fixture.clients.issue(&["client.example"]);
    // A list that has expired lets in nobody whom it is about, and keeps out nobody else.
    fixture.set_lists(
        &fixture
            .clients
            .revoke(&[], SystemTime::now() - Duration::from_secs(9)),
    );
    let server = fixture.serve(&["--tls-client-certificate", "optional"]);
    assert!(!fixture.lets_in(&server, &client).await);
    let without = connect(&server.address, &fixture.authority.pem, None).await;
    list(without.unwrap(), None).await.unwrap();
    fixture.set_lists(&fixture.clients.revoke(&[], fixture.later));
    reloaded(&server, "ok", 1).await;
    assert!(fixture.lets_in(&server, &client).await);

    // A list by the name of the authority which another has signed is none.
    let forger = fixture.clients.forger();
    fixture.set_lists(&forger.revoke(&[], fixture.later));
    reloaded(&server, "ok", 2).await;
    assert!(!fixture.lets_in(&server, &client).await);
}

#[test]
fn lists_that_do_not_fit_stop_the_start() {
    let fixture = fixture();
    let start = |mutual| {
        let mut command = command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .args(fixture.files.flags(mutual))
            .args(fixture.args());
        command.env("MESIBO_APP_TOKEN", TOKEN).output().unwrap()
    };
    for (lists, mistake) in [
        ("", "revocation lists in PEM in"),
        ("s3ntinel", "clients.crl, and found none"),
        (
            &Authority::new().revoke(&[], fixture.later),
            "has none, so all its clients",
        ),
    ] {
        fixture.set_lists(lists);
        assert_refused(&start(true), mistake);
    }
    fixture.set_lists(&fixture.clients.revoke(&[], fixture.later));
    let mistake = "tls-client-crl-file: expected together with tls-client-ca-file";
    assert_refused(&start(false), mistake);
}
