//! Which calls share a connection, and which requests are what HTTP/2 wants.

use mesibo::{Failure, chain};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{DONE, read, write};
use crate::support::{
    Recorder,
    http2::{MAX_CONCURRENT_STREAMS, NO_ERROR, Server},
};

/// The calls of a test that go on until it ends.
async fn reads(client: &mesibo::Client, count: usize) {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { read(&client).await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn a_request_names_its_host_as_http2_does() {
    let server = Server::new();
    let client = server.client_with(Recorder::default(), |config| {
        config.user_agent = "test/1".into();
    });
    let script = async {
        let stream = server.accept_raw().await;
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = respond
            .send_response(http::Response::new(()), false)
            .unwrap();
        body.send_data(DONE.into(), true).unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        request.into_parts().0
    };
    let (result, head) = tokio::join!(write(&client, "1"), script);
    result.unwrap();
    assert_eq!(head.method, "POST");
    let url = format!("http://{}/api.php", server.address);
    assert_eq!(head.uri, *url);
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    let expected = [
        ("content-length", "49"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("traceparent", "00-1-2-01"),
        ("user-agent", "test/1"),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn calls_that_find_no_connection_wait_for_one_handshake() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    let script = async {
        let peer = server.accept().await;
        tokio::spawn(peer.serve());
    };
    tokio::join!(reads(&client, 64), script);
    assert_eq!(observer.events().opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn calls_from_several_threads_each_get_their_own_reply() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    tokio::spawn(async move {
        loop {
            tokio::spawn(
                server
                    .accept_with(&[(MAX_CONCURRENT_STREAMS, 20)])
                    .await
                    .serve(),
            );
        }
    });
    let calls = (1..=100).map(|call| {
        let client = client.clone();
        tokio::spawn(async move {
            for id in call * 20..call * 20 + 20 {
                let sent = write(&client, &id.to_string()).await.unwrap();
                assert_eq!(sent.mid, Some(id));
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    // A hundred calls at a time, from three threads.
    let opened = observer.events().opened;
    assert!((5..40).contains(&opened), "{opened}");
}

#[tokio::test]
async fn a_connection_has_no_more_streams_than_its_server_allows() {
    for (allowed, calls, connections) in [(3, 7, 3), (1000, 150, 2)] {
        let server = Server::new();
        let observer = Recorder::default();
        let client = server.client(observer.clone());
        let script = async {
            let (mut peers, mut requests) = (Vec::new(), Vec::new());
            for _ in 0..connections {
                let settings = [(MAX_CONCURRENT_STREAMS, allowed)];
                peers.push(server.accept_with(&settings).await);
            }
            // All requests are there at the same time.
            let max = usize::try_from(allowed).unwrap().min(100);
            let mut left = calls;
            for (number, peer) in peers.iter_mut().enumerate() {
                for _ in 0..max.min(left) {
                    requests.push((number, peer.request().await.stream));
                }
                left -= max.min(left);
            }
            for (number, stream) in requests {
                peers[number].reply(stream, DONE).await;
            }
        };
        tokio::join!(reads(&client, calls), script);
        assert_eq!(observer.events().opened, connections);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_allows_no_stream_cannot_be_reached() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        loop {
            let mut peer = server.accept_with(&[(MAX_CONCURRENT_STREAMS, 0)]).await;
            tokio::spawn(async move { while peer.next().await.is_some() {} });
        }
    };
    let error = tokio::select! {
        result = write(&client, "1") => result.unwrap_err(),
        () = script => unreachable!("it goes on"),
    };
    assert!(matches!(error.failure(), Failure::Unreachable), "{error:?}");
    assert!(chain(&error).contains("allows no stream"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_gets_no_form() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        loop {
            let mut stream = server.accept_raw().await;
            let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refusal.as_bytes()).await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            let received = String::from_utf8_lossy(&received).into_owned();
            assert!(!received.contains("op="), "{received}");
        }
    };
    let error = tokio::select! {
        result = write(&client, "1") => result.unwrap_err(),
        () = script => unreachable!("it goes on"),
    };
    assert!(matches!(error.failure(), Failure::Unreachable), "{error:?}");
    assert!(
        chain(&error).contains("does not keep to HTTP/2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_handshake_goes_on_for_the_others_when_the_call_that_began_it_is_dropped() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    let stream = tokio::select! {
        _ = read(&client) => panic!("it has no connection"),
        stream = server.accept_raw() => stream,
    };
    let script = async {
        let peer = crate::support::http2::Peer::over(stream, &[]).await;
        tokio::spawn(peer.serve());
    };
    tokio::join!(reads(&client, 10), script);
    assert_eq!(observer.events().opened, 1);
}

#[tokio::test]
async fn a_handshake_that_fails_strands_no_call() {
    let server = Server::new();
    let client = server.client(());
    let script = async {
        drop(server.accept_raw().await);
        let peer = server.accept().await;
        tokio::spawn(peer.serve());
    };
    // The call that began to connect has failed, and is made again.
    tokio::join!(reads(&client, 10), script);
}

#[tokio::test]
async fn a_server_that_ends_each_connection_at_once_is_soon_left_alone() {
    let server = Server::new();
    let observer = Recorder::default();
    let client = server.client(observer.clone());
    let script = async {
        loop {
            let mut peer = server.accept().await;
            peer.go_away(0, NO_ERROR).await;
        }
    };
    let error = tokio::select! {
        result = write(&client, "1") => result.unwrap_err(),
        () = script => unreachable!("it goes on"),
    };
    assert!(matches!(error.failure(), Failure::Unreachable), "{error:?}");
    assert!(observer.events().opened < 100);
}
