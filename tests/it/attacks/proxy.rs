//! A balancer that says whose each connection is, and peers that only pretend to be one.

use std::{io, net::SocketAddr};

use hyper_util::rt::TokioIo;
use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A channel whose connections begin with these bytes.
async fn behind(server: &Process, header: Vec<u8>) -> Result<Channel, tonic::transport::Error> {
    let address: SocketAddr = server.address.parse().unwrap();
    let connect = service_fn(move |_: Uri| {
        let header = header.clone();
        async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&header).await?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_with_connector(connect).await
}

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

#[tokio::test]
async fn the_peer_is_the_client_that_a_balancer_names() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = Process::serve(&backend.url(), &["--proxy-protocol"]);
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0xc8, 0x22, 0xc3, 0x83];
    for (header, peer) in [
        (header(0x21, 0x11, &addresses), "peer=203.0.113.7:51234"),
        (header(0x20, 0, &[]), "peer=127.0.0.1:"),
    ] {
        let channel = behind(&server, header).await.unwrap();
        let mut users = UserServiceClient::new(channel);
        users.list_users(ListUsersRequest::default()).await.unwrap();
        soon(server.logged(peer)).await;
    }
}

#[tokio::test]
async fn a_connection_without_a_right_header_gets_no_further() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = Process::serve(&backend.url(), &["--proxy-protocol"]);
    for header in [
        Vec::new(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 50051\r\n".to_vec(),
        header(0x21, 0x11, &[1; 5_000]),
        header(0x31, 0x11, &[1; 12]),
    ] {
        let called = async {
            let mut users = UserServiceClient::new(behind(&server, header).await.ok()?);
            users.list_users(ListUsersRequest::default()).await.ok()
        };
        assert!(soon(called).await.is_none());
    }
    assert_eq!(backend.requests().len(), 0);
}
