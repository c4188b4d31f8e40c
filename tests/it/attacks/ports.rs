//! The ports for metrics and for health, when somebody takes all they have.

use mesibo_grpc::proto::{DeleteUserRequest, user_service_client::UserServiceClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::attacker::limited;
use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon, get};

/// Far fewer than the requests that never end.
const FEW_DESCRIPTORS: &str = "-n 256";

const REQUESTS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_take_no_descriptors_from_grpc_and_end_all_the_same() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let url = backend.url();
    let args = ["--upstream-url", &url, "--metrics-listen", "127.0.0.1:0"];
    let command = limited(
        FEW_DESCRIPTORS,
        &[&args[..], &["--health-listen", "127.0.0.1:0"]].concat(),
    );
    let process = Process::start(command);
    let ports = ["metrics=", "health="].map(|port| process.logged_address(port));
    let mut open = Vec::new();
    for port in ports {
        for _ in 0..REQUESTS {
            let mut stream = soon(TcpStream::connect(port)).await.unwrap();
            // The server may have closed it.
            let _ = stream
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")
                .await;
            open.push(stream);
        }
    }
    for _ in 0..3 {
        let mut users = UserServiceClient::new(soon(process.channel()).await);
        let request = DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        };
        soon(users.delete_user(request)).await.unwrap();
    }
    let [metrics, _] = ports;
    let shown = soon(get(metrics, "/metrics")).await;
    assert!(shown.contains("mesibo_grpc_build_info"), "{shown}");
    assert!(process.open_files() < 128, "{}", process.open_files());

    let ended = async {
        for stream in &mut open {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(30), ended);
    in_time.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_descriptors_for_the_rest_and_the_log_says_so() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let url = backend.url();
    let args = ["--upstream-url", &url, "--metrics-listen", "127.0.0.1:0"];
    let process = Process::start(limited("-n 128", &args));
    soon(process.logged("max-connections is lowered")).await;
    let shown = get(process.logged_address("metrics="), "/metrics").await;
    assert!(
        shown.contains("mesibo_grpc_max_connections 96\n"),
        "{shown}"
    );

    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(TcpStream::connect(&process.address).await.unwrap());
    }
    // A newcomer is turned away while a tenth of the connections is on its way out. It is
    // let in when it comes again.
    let served = async {
        let call = async || {
            let mut users = UserServiceClient::new(process.channel().await);
            let request = DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            };
            users.delete_user(request).await
        };
        while call().await.is_err() {}
    };
    soon(served).await;
    assert!(!process.log().contains("cannot accept connections"));
}
