//! Sessions that a client wants to resume.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, HandshakeKind,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use super::{
    NAME,
    authority::{Authority, Files},
    client, handshake_by, serve,
};
use crate::support::{
    Facade,
    facade::soon,
    http2::{Frame, SETTINGS},
};

/// Connects, reads what the server says first, session tickets included, and tells how the
/// handshake went.
async fn connect(client: &Arc<ClientConfig>, facade: &Facade) -> std::io::Result<HandshakeKind> {
    let mut stream = handshake_by(client, facade.addr()).await?;
    let settings = Frame::new(SETTINGS, 0, 0, []).encode();
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat();
    stream.write_all(&hello).await?;
    soon(stream.read_exact(&mut [0; 9])).await?;
    let (_, connection) = stream.get_ref();
    Ok(connection.handshake_kind().unwrap())
}

#[tokio::test]
async fn a_session_is_resumed_where_the_client_shows_no_certificate() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&[NAME]), "");
    let facade = serve("http://127.0.0.1:1/", &files, false, &[]);
    for version in [&TLS12, &TLS13] {
        let client = Arc::new(client(&authority, version, None));
        assert_eq!(
            connect(&client, &facade).await.unwrap(),
            HandshakeKind::Full
        );
        let second = connect(&client, &facade).await.unwrap();
        assert_eq!(second, HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn under_mutual_tls_no_chain_of_sessions_outlives_the_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(&[NAME]), &clients.pem);
    for required in ["required", "optional"] {
        let settings = [("tls-client-certificate", required)];
        let facade = serve("http://127.0.0.1:1/", &files, true, &settings);
        let now = SystemTime::now();
        let until = now + Duration::from_secs(4);
        let identity = clients.issue_for(&["reader.example"], now, until);
        let resuming = [&TLS12, &TLS13].map(|version| {
            let client = client(&authority, version, Some(&identity));
            (version, Arc::new(client))
        });
        let end = until + Duration::from_secs(1);
        let mut accepted = 0;
        while SystemTime::now() < until - Duration::from_secs(2) {
            for (version, client) in &resuming {
                let kind = connect(client, &facade).await.unwrap();
                assert_eq!(kind, HandshakeKind::Full, "{version:?}");
                accepted += 1;
            }
            sleep(Duration::from_millis(500)).await;
        }
        assert!(accepted >= 4, "{accepted}");
        sleep(end.duration_since(SystemTime::now()).unwrap_or_default()).await;
        for (version, client) in &resuming {
            let error = connect(client, &facade).await.unwrap_err().to_string();
            assert!(error.contains("CertificateExpired"), "{version:?}: {error}");
        }
    }
}
