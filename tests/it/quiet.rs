//! What connections cost that nobody calls on.

use std::time::Duration;

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::{
    support::{Answer, Backend, EVERYTHING, Process},
    tls::Secured,
};

/// Connections of which each has its part of what is measured.
const CONNECTIONS: usize = 1_000;

/// Connections before the measurement: the first ones take what all others share.
const FIRST: usize = 50;

/// Calls on each connection that was used.
const CALLS: usize = 4;

/// How long the program has to end what the last call left.
const A_WHILE: Duration = Duration::from_secs(1);

/// The most resident memory of a quiet connection, in KiB, half more than was measured.
/// docs/performance.md says what holds it.
const PLAINTEXT: usize = 27;
const PLAINTEXT_USED: usize = 36;
const TLS: usize = 39;
const TLS_USED: usize = 46;

/// Opens connections, makes calls on each, and asserts what resident memory each takes of
/// the program once it is quiet.
async fn assert_takes(
    server: &Process,
    connect: impl AsyncFn() -> Channel,
    calls: usize,
    most: usize,
) {
    let open = async |count| {
        let mut connections = Vec::new();
        for _ in 0..count {
            let channel = connect().await;
            let mut users = UserServiceClient::new(channel);
            for _ in 0..calls {
                users.list_users(ListUsersRequest::default()).await.unwrap();
            }
            connections.push(users);
        }
        sleep(A_WHILE).await;
        connections
    };
    let _first = open(FIRST).await;
    let (before, files) = (server.memory(), server.open_files());
    let _quiet = open(CONNECTIONS).await;
    assert!(server.open_files() >= files + CONNECTIONS);
    let each = server.memory().saturating_sub(before) / CONNECTIONS;
    println!("{each} KiB for each connection with {calls} calls, at most {most}");
    assert!(each <= most, "{each} KiB, at most {most}");
}

#[tokio::test]
async fn a_quiet_connection_takes_little_memory_whether_it_was_used_or_not() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    for (calls, most) in [(0, PLAINTEXT), (CALLS, PLAINTEXT_USED)] {
        let server = Process::serve(&backend.url(), &[]);
        assert_takes(&server, async || server.channel().await, calls, most).await;
    }
}

#[tokio::test]
async fn a_quiet_connection_with_tls_takes_little_more() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    for (calls, most) in [(0, TLS), (CALLS, TLS_USED)] {
        let secured = Secured::serve(&backend, &[]);
        let connect = async || secured.channel().await;
        assert_takes(&secured.server, connect, calls, most).await;
    }
}
