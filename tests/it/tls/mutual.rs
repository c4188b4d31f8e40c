//! Mutual TLS: callers are known by the names in their certificates.

use mesibo_grpc::access::key::KeyHash;

use super::{
    NAME,
    authority::{Authority, Files, Identity},
    connect, list, serve,
};
use crate::support::{Answer, Backend, EVERYTHING, Facade, process::command, settings_file, told};

const KEY: &str = "mgk_s3ntinel";

struct Fixture {
    server: Authority,
    clients: Authority,
    facade: Facade,
    backend: Backend,
}

/// Two callers with certificates, of whom one has a key as well and may list users.
fn fixture(client_certificate: &str) -> Fixture {
    let (server, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&server.issue(&[NAME, "localhost"]), &clients.pem);
    let settings = settings_file(&format!(
        "[callers.reader]\nkeys = [\"{}\"]\n\
         certificates = [\"reader.example\", \"spiffe://example/reader\"]\n\
         may-call = [\"mesibo.v1.UserService/ListUsers\"]\n\
         [callers.writer]\ncertificates = [\"writer.example\"]\n\
         may-call = [\"mesibo.v1.MessageService/*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let settings = [
        ("config", settings.path().to_str().unwrap()),
        ("tls-client-certificate", client_certificate),
    ];
    let backend = Backend::always(Answer::ok(EVERYTHING));
    Fixture {
        facade: serve(&backend.url(), &files, true, &settings),
        server,
        clients,
        backend,
    }
}

impl Fixture {
    /// A call by a client with a certificate, and what it tells.
    async fn call(&self, identity: Option<&Identity>, key: Option<&'static str>) -> String {
        let connected = connect(self.facade.addr(), &self.server.pem, identity).await;
        let Ok(channel) = connected else {
            return "no connection".into();
        };
        match list(channel, key).await {
            Ok(()) => "OK".into(),
            // The client learns of a refused certificate when it first reads.
            Err(status) if status.details().is_empty() => "no connection".into(),
            Err(status) => told(&status).2,
        }
    }
}

#[tokio::test]
async fn a_caller_is_known_by_a_name_in_its_certificate() {
    for client_certificate in ["required", "optional"] {
        let fixture = fixture(client_certificate);
        let of = |names| fixture.clients.issue(names);
        for (names, key, expected) in [
            (&["reader.example"][..], None, "OK"),
            (&["spiffe://example/reader"], None, "OK"),
            (&["other.example", "reader.example"], None, "OK"),
            (&["writer.example"], None, "RPC_NOT_ALLOWED"),
            (&["other.example"], None, "UNKNOWN_CERTIFICATE"),
            (&["127.0.0.1"], None, "UNKNOWN_CERTIFICATE"),
            (
                &["reader.example", "writer.example"],
                None,
                "UNKNOWN_CERTIFICATE",
            ),
            // A key goes before a certificate, also when it is wrong.
            (&["writer.example"], Some(KEY), "OK"),
            (&["reader.example"], Some("s3ntinel"), "INVALID_KEY"),
        ] {
            let result = fixture.call(Some(&of(names)), key).await;
            assert_eq!(result, expected, "{names:?} {key:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_must_be_valid_and_of_the_right_authority() {
    let other = Authority::new();
    for (client_certificate, without, with_key) in [
        ("required", "no connection", "no connection"),
        ("optional", "NO_CREDENTIALS", "OK"),
    ] {
        let fixture = fixture(client_certificate);
        assert_eq!(fixture.call(None, None).await, without);
        assert_eq!(fixture.call(None, Some(KEY)).await, with_key);
        let sent = fixture.backend.requests().len();
        for identity in [
            other.issue(&["reader.example"]),
            fixture.server.issue(&["reader.example"]),
            fixture.clients.issue_expired(&["reader.example"]),
        ] {
            for key in [None, Some(KEY)] {
                let result = fixture.call(Some(&identity), key).await;
                assert_eq!(result, "no connection");
            }
        }
        assert_eq!(fixture.backend.requests().len(), sent);
    }
}

#[tokio::test]
async fn the_commands_of_a_client_show_its_certificate() {
    let fixture = fixture("required");
    let files = Files::new(&fixture.clients.issue(&["reader.example"]), "");
    let authority = settings_file(&fixture.server.pem);
    let url = format!("https://localhost:{}", fixture.facade.addr().port());
    let run = async |args: &[&str], with_certificate: bool| {
        let mut command = command(args);
        command
            .args(["--address", &url, "--ca-file"])
            .arg(authority.path());
        if with_certificate {
            command.arg("--certificate-file").arg(files.path("tls.crt"));
            command
                .arg("--certificate-key-file")
                .arg(files.path("tls.key"));
        }
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        run.await.unwrap()
    };
    for args in [&["health"][..], &["call", "ListUsers"]] {
        let output = run(args, true).await;
        assert!(output.status.success(), "{output:?}");
        let output = run(args, false).await;
        assert!(!output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(" wants --certificate-file"), "{text}");
    }
}
