//! How long connections are kept, and how the end of one is noticed.

use std::time::Duration;

use mesibo::chain;
use tokio::time::{Instant, sleep};

use super::{DONE, assert_lost, read, write};
use crate::support::{
    Recorder,
    http2::{GOAWAY, PING, Server},
    later,
};

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_for_too_long_is_closed() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client_with(observer.clone(), |config| {
        config.idle_timeout = Duration::from_secs(5);
    });
    let script = async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        peer.reply(request.stream, DONE).await;
        peer.expect(GOAWAY).await;
        assert!(peer.next().await.is_none());
    };
    let (result, ()) = tokio::join!(read(&client), script);
    result.unwrap();
    let events = observer.events();
    assert_eq!((events.opened, events.closed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_its_lifetime_ends_with_its_last_stream() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client_with(observer.clone(), |config| {
        config.connection_lifetime = Duration::from_secs(5);
    });
    let script = async {
        let mut peer = server.accept().await;
        let first = peer.request().await;
        sleep(Duration::from_secs(6)).await;
        let other = async {
            let mut next = server.accept().await;
            let request = next.request().await;
            next.reply(request.stream, DONE).await;
            next
        };
        let (second, next) = tokio::join!(read(&client), other);
        second.unwrap();
        peer.reply(first.stream, DONE).await;
        peer.expect(GOAWAY).await;
        assert!(peer.next().await.is_none());
        next
    };
    let (first, _next) = tokio::join!(read(&client), script);
    first.unwrap();
    assert_eq!(observer.events().opened, 2);
}

#[tokio::test]
async fn a_client_that_is_dropped_closes_its_connections() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        peer.reply(request.stream, DONE).await;
        peer
    };
    let (result, mut peer) = tokio::join!(read(&client), script);
    result.unwrap();
    drop(client);
    peer.expect(GOAWAY).await;
    assert!(peer.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_waited_for_as_long_as_it_answers_pings() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        for _ in 0..4 {
            peer.expect(PING).await;
        }
        peer.reply(request.stream, DONE).await;
        peer
    };
    let (result, _peer) = tokio::join!(write(&client, "1"), script);
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_noticed_long_before_the_deadline() {
    let server = Server::new();
    let client = server.client(());
    let begun_at = Instant::now();
    let script = async {
        let mut peer = server.accept().await;
        peer.answers_pings = false;
        peer.request().await;
        peer.expect(PING).await;
        // The read after it goes elsewhere.
        let next = server.accept().await;
        tokio::spawn(next.serve());
        peer
    };
    let calls = async {
        let error = write(&client, "1").await.unwrap_err();
        assert!(Instant::now() < later() && begun_at.elapsed() < Duration::from_secs(30));
        read(&client).await.unwrap();
        error
    };
    let (error, _peer) = tokio::join!(calls, script);
    assert_lost(&error);
    assert!(error.outcome_unknown(), "{}", chain(&error));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_let_a_call_run_out_of_time_gets_no_further_ones_before_it_shows_life() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        let mut peer = server.accept().await;
        peer.answers_pings = false;
        peer.request().await;
        let mut next = server.accept().await;
        let request = next.request().await;
        next.reply(request.stream, DONE).await;
        (peer, next)
    };
    let calls = async {
        let deadline = Instant::now() + Duration::from_secs(2);
        let call = mesibo::Operation::users_get(None, None);
        client.call(call, deadline).await.unwrap_err();
        read(&client).await.unwrap();
    };
    tokio::join!(calls, script);
}
