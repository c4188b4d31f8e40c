//! Connections that take the places of others.

use std::net::SocketAddr;

use mesibo_grpc::{proto::ListUsersRequest, server::Limits};
use tokio::{net::TcpSocket, task::JoinSet};
use tonic::Code;

use super::attacker::{Attacker, body, status};
use crate::support::{
    Answer, Backend, EVERYTHING, Facade, facade,
    facade::soon,
    http2::{DATA, END_STREAM, GOAWAY, HEADERS, NO_ERROR, Peer, SETTINGS},
    told,
};

const NOWHERE: &str = "http://127.0.0.1:1/";

const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A facade with these limits.
fn facade(upstream: &str, change: impl FnOnce(&mut Limits)) -> Facade {
    let mut config = facade::config(upstream, &[]);
    change(&mut config.server.limits);
    Facade::of(config)
}

/// A connection that sends its preface and its settings, and nothing more.
async fn silent(facade: &Facade) -> Peer {
    let mut peer = Peer::connect(facade.addr()).await;
    peer.expect_kind(SETTINGS).await;
    peer
}

/// Makes a call to its end.
async fn used(peer: &mut Peer) {
    let path = "/mesibo.v1.UserService/ListUsers";
    peer.call(path, &ListUsersRequest::default()).await;
    peer.expect(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0)
        .await;
}

/// Asserts that a connection is served, and is not told to go.
async fn assert_served(peer: &mut Peer) {
    let watch = peer.watch().await;
    let frame = peer.expect(|frame| matches!(frame.kind, DATA | GOAWAY));
    let frame = frame.await;
    assert_eq!((frame.kind, frame.stream), (DATA, watch));
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let facade = facade(NOWHERE, |limits| limits.max_connections = 50);
    let mut attackers = Vec::new();
    for _ in 0..50 {
        attackers.push(silent(&facade).await);
    }
    let mut newcomer = silent(&facade).await;
    assert_served(&mut newcomer).await;
    // The first has gone, and no other.
    let goaway = attackers[0].expect_kind(GOAWAY).await;
    assert_eq!(goaway.code(), NO_ERROR);
    attackers[0].until_cut_off().await;
    for attacker in &mut attackers[1..3] {
        assert_served(attacker).await;
    }
}

#[tokio::test]
async fn connections_that_only_watch_health_keep_nobody_out() {
    let facade = facade(NOWHERE, |limits| limits.max_connections = 2);
    let mut attackers = Vec::new();
    for _ in 0..2 {
        let mut attacker = silent(&facade).await;
        assert_served(&mut attacker).await;
        attackers.push(attacker);
    }
    assert_served(&mut silent(&facade).await).await;
    attackers[0].expect_kind(GOAWAY).await;
}

#[tokio::test]
async fn the_connection_goes_that_has_been_without_a_call_for_longest() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = facade(&backend.url(), |limits| limits.max_connections = 3);
    let mut peers = [
        silent(&facade).await,
        silent(&facade).await,
        silent(&facade).await,
    ];
    for number in [2, 0, 1] {
        used(&mut peers[number]).await;
    }
    assert_served(&mut silent(&facade).await).await;
    peers[2].expect_kind(GOAWAY).await;
}

/// A connection from an address of this machine.
async fn from(source: [u8; 4], facade: &Facade) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    let stream = soon(socket.connect(facade.addr())).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Peer::over(stream).await
}

/// Linux only: elsewhere loopback has one address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let facade = facade(NOWHERE, |limits| {
        limits.max_connections_per_address = 3;
        limits.loopback_is_limited = true;
    });
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut peer = from([127, 0, 0, 1], &facade).await;
        assert_served(&mut peer).await;
        open.push(peer);
    }
    for _ in 0..3 {
        let mut above = from([127, 0, 0, 1], &facade).await;
        assert!(soon(above.next()).await.is_none());
    }
    assert_served(&mut from([127, 0, 0, 2], &facade).await).await;

    open.pop();
    let again = async {
        while from([127, 0, 0, 1], &facade).await.next().await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_health_are_limited_for_a_connection_and_in_all() {
    const OF_A_CONNECTION: usize = 16;
    const OF_THE_SERVER: usize = 2048;
    let facade = Facade::new(NOWHERE);
    let empty = || body(vec![0; 5], true);
    let mut watches = JoinSet::new();
    let mut attackers = Vec::new();
    for _ in 0..OF_THE_SERVER / OF_A_CONNECTION {
        let attacker = Attacker::connect(facade.addr()).await;
        for _ in 0..OF_A_CONNECTION {
            let response = attacker.call(WATCH, &[], empty()).await.unwrap();
            assert!(!response.headers().contains_key("grpc-status"));
            watches.spawn(status(response));
        }
        attackers.push(attacker);
    }
    let refused = async |attacker: &Attacker| {
        let status = attacker.status(WATCH, &[], empty()).await;
        let (code, _, reason, metadata) = told(&status);
        assert_eq!(code, Code::ResourceExhausted);
        assert_eq!(reason, "TOO_MANY_WATCHES");
        metadata["limit"].clone()
    };
    assert_eq!(refused(&attackers[0]).await, "connection");
    let newcomer = Attacker::connect(facade.addr()).await;
    assert_eq!(refused(&newcomer).await, "server");

    // They count until they end.
    watches.shutdown().await;
    let again = async {
        loop {
            let response = newcomer.call(WATCH, &[], empty()).await.unwrap();
            if !response.headers().contains_key("grpc-status") {
                break;
            }
        }
    };
    soon(again).await;
}
