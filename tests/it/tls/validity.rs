//! What happens when certificates expire.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::version::TLS13;
use tokio::time::sleep;

use super::{
    NAME,
    authority::{Authority, Files},
    client, connect, handshake_by, list, rotation, serve,
};
use crate::support::{
    Answer, Backend, EVERYTHING, get,
    http2::{END_HEADERS, Frame, GOAWAY, HEADERS, Peer},
    settings_file,
};

/// Callers of whom one is known by its certificate.
const READER: &str = "[callers.reader]\ncertificates = [\"reader.example\"]\n\
    may-call = [\"mesibo.v1.UserService/ListUsers\"]\n";

#[tokio::test]
async fn a_connection_ends_with_the_certificate_of_its_client() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(&[NAME]), &clients.pem);
    let settings = settings_file(READER);
    let settings = [("config", settings.path().to_str().unwrap())];
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = serve(&backend.url(), &files, true, &settings);
    let now = SystemTime::now();
    let until = now + Duration::from_secs(3);
    let short = clients.issue_for(&["reader.example"], now, until);
    let open = async |identity| {
        let client = Arc::new(client(&authority, &TLS13, Some(identity)));
        let stream = handshake_by(&client, facade.addr()).await.unwrap();
        Peer::over(stream).await
    };
    // One that does as it is told, and one that neither answers the ping which the end of
    // a connection waits for nor goes.
    let (mut polite, mut stubborn) = (open(&short).await, open(&short).await);
    let frames = polite.until_closed().await;
    assert!(SystemTime::now() >= until - Duration::from_secs(1));
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY));

    stubborn.expect_kind(GOAWAY).await;
    sleep(Duration::from_secs(1)).await;
    let sent = backend.requests().len();
    let call = Frame::headers(1, END_HEADERS, "/mesibo.v1.UserService/ListUsers");
    let request = Frame::message(1, &mesibo_grpc::proto::ListUsersRequest::default());
    assert!(stubborn.send(&[call, request]).await);
    let refusal = stubborn.expect_kind(HEADERS).await;
    let block = String::from_utf8_lossy(&refusal.payload).into_owned();
    assert!(refusal.flags & 1 == 1, "trailers alone: {block}");
    assert_eq!(backend.requests().len(), sent);
    let other = clients.issue(&["reader.example"]);
    let channel = connect(facade.addr(), &authority.pem, Some(&other)).await;
    list(channel.unwrap(), None).await.unwrap();
}

#[tokio::test]
async fn what_expires_soon_is_warned_of_and_every_end_is_a_metric() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let now = SystemTime::now();
    let days = |days: u64| Duration::from_hours(24 * days);
    let (soon, later) = (now + days(13), now + days(15));
    let (identity, other) = (
        authority.issue_for(&[NAME], now - days(1), soon),
        authority.issue_for(&[NAME], now - days(1), later),
    );
    let list = settings_file(&clients.revoke(&[], now - days(1)));
    let crl = ["--tls-client-crl-file", list.path().to_str().unwrap()];
    let mut files = Files::new(&identity, &clients.pem);
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = rotation::serve(&backend, &files, true, &crl);
    let metrics = async || get(server.logged_address("metrics="), "/metrics").await;
    let expiry = async |certificate: &str| {
        let name = format!(
            "mesibo_grpc_certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\"}} "
        );
        let metrics = metrics().await;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse::<u64>().unwrap()
    };
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(expiry("server").await, seconds(soon));
    assert_eq!(expiry("client_crl").await, seconds(now - days(1)));
    // The 1st of January 4096, as the fixture has it.
    assert_eq!(expiry("client_ca").await, 67_090_118_400);
    let warnings = |log: String| {
        let lines = log.lines().filter(|line| line.contains("renew it"));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    server.logged("has expired: renew it").await;
    let log = warnings(server.log());
    assert_eq!(log.len(), 2, "{log:?}");
    for (line, parts) in log.iter().zip([
        ["WARN", "a certificate expires soon", "what=\"server\""],
        ["ERROR", "has expired", "what=\"client_crl\""],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }

    files.replace(&other, &clients.pem);
    rotation::reloaded(&server, "ok", 1).await;
    assert_eq!(expiry("server").await, seconds(later));
}
