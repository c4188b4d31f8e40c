//! Certificates that change while calls run.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{pki_types::CertificateDer, pki_types::pem::PemObject as _, version::TLS13};
use tokio::{task::JoinSet, time::sleep};

use super::{
    NAME,
    authority::{Authority, Files, Identity},
    connect, handshake, list,
};
use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon, get};

pub(super) fn serve(backend: &Backend, files: &Files, mutual: bool, more: &[&str]) -> Process {
    let mut args = files.flags(mutual);
    args.extend(["--metrics-listen", "127.0.0.1:0"].map(Into::into));
    args.extend(more.iter().copied().map(Into::into));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    Process::serve(&backend.url(), &args)
}

/// Waits until so many reloads of the certificate had an outcome.
pub(super) async fn reloaded(server: &Process, outcome: &str, count: usize) {
    let metrics = server.logged_address("metrics=");
    let line =
        format!("mesibo_grpc_reloads_total{{kind=\"certificate\",outcome=\"{outcome}\"}} {count}");
    soon(async {
        while !get(metrics, "/metrics")
            .await
            .lines()
            .any(|other| other == line)
        {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The certificate that a new connection gets.
async fn served(server: &Process, authority: &Authority) -> CertificateDer<'static> {
    let address = server.address.parse().unwrap();
    let stream = handshake(address, authority, &TLS13, &["h2"])
        .await
        .unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

fn certificate(identity: &Identity) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_changes_without_a_failed_call() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let mut files = Files::new(&old, "");
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend, &files, false, &[]);
    assert_eq!(served(&server, &authority).await, certificate(&old));

    let done = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for keeps_its_connection in [true, true, false, false] {
        let (done, calls) = (Arc::clone(&done), Arc::clone(&calls));
        let (address, pem) = (server.address.clone(), authority.pem.clone());
        callers.spawn(async move {
            let mut channel = connect(&address, &pem, None).await.unwrap();
            while !done.load(Ordering::Relaxed) {
                list(channel.clone(), None).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
                if !keeps_its_connection {
                    channel = connect(&address, &pem, None).await.unwrap();
                }
            }
        });
    }
    files.replace(&new, "");
    reloaded(&server, "ok", 1).await;
    assert_eq!(served(&server, &authority).await, certificate(&new));
    let now = calls.load(Ordering::Relaxed);
    soon(async {
        while calls.load(Ordering::Relaxed) < now + 100 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    done.store(true, Ordering::Relaxed);
    callers.join_all().await;
}

#[tokio::test]
async fn what_does_not_fit_leaves_the_old_certificate_in_place() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let mut files = Files::new(&old, "");
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend, &files, false, &[]);

    let mixed = Identity {
        certificate: new.certificate.clone(),
        key: old.key.clone(),
    };
    files.replace(&mixed, "");
    reloaded(&server, "failed", 1).await;
    assert_eq!(served(&server, &authority).await, certificate(&old));
    assert!(
        server
            .log()
            .contains("do not make a certificate with its key")
    );
    let garbage = Identity {
        certificate: "s3ntinel".into(),
        key: "s3ntinel".into(),
    };
    files.replace(&garbage, "");
    reloaded(&server, "failed", 2).await;
    files.replace(&authority.issue_expired(&[NAME]), "");
    reloaded(&server, "failed", 3).await;
    assert!(server.log().contains("it expired at 2021-01-01T00:00:00Z"));
    fs::remove_file(files.path("tls.key")).unwrap();
    reloaded(&server, "failed", 4).await;
    assert_eq!(served(&server, &authority).await, certificate(&old));

    // One file after the other: the pair is in force once it is one.
    fs::write(files.path("tls.crt"), &new.certificate).unwrap();
    reloaded(&server, "failed", 5).await;
    fs::write(files.path("tls.key"), &new.key).unwrap();
    reloaded(&server, "ok", 1).await;
    assert_eq!(served(&server, &authority).await, certificate(&new));
}

#[tokio::test]
async fn the_authorities_of_clients_change_for_new_connections() {
    let server_authority = Authority::new();
    let identity = server_authority.issue(&[NAME]);
    let (old, new) = (Authority::new(), Authority::new());
    let mut files = Files::new(&identity, &old.pem);
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend, &files, true, &[]);
    let call = async |client: &Authority| {
        let client = client.issue(&["client.example"]);
        let pem = &server_authority.pem;
        let channel = connect(&server.address, pem, Some(&client)).await.ok()?;
        list(channel.clone(), None).await.ok()?;
        Some(channel)
    };
    let open = call(&old).await.unwrap();
    assert!(call(&new).await.is_none());

    files.replace(&identity, &format!("{}{}", old.pem, new.pem));
    reloaded(&server, "ok", 1).await;
    assert!(call(&old).await.is_some() && call(&new).await.is_some());

    files.replace(&identity, &new.pem);
    reloaded(&server, "ok", 2).await;
    assert!(call(&old).await.is_none() && call(&new).await.is_some());
    list(open, None).await.unwrap();
}
