//! Statuses that no handler makes, and answers to what is no gRPC.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesibo_grpc::{
    proto::{
        CreateUserRequest, CreateUserResponse, CreateUsersRequest, CreateUsersResponse,
        DeleteUserRequest, DeleteUserResponse, DeleteUserTokenRequest, DeleteUserTokenResponse,
        EditUserRequest, EditUserResponse, ListUsersRequest, ListUsersResponse,
        RegenerateUserTokenRequest, RegenerateUserTokenResponse, SendMessageRequest,
        user_service_client::UserServiceClient,
        user_service_server::{UserService, UserServiceServer},
    },
    server::{Server, ServerMetrics, Services},
};
use tokio::net::TcpStream;
use tokio_stream::Empty;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Answer, Backend, EVERYTHING, Facade,
    doors::DOORS,
    facade::{config, soon},
    telling, told,
};

fn ours(code: Code, reason: &str) -> crate::support::Told {
    telling(code, "mesibo-grpc", reason, &[])
}

/// Sends raw bytes as a gRPC request, and gives the status of the answer.
async fn raw_call(facade: &Facade, path: &str, body: &'static [u8]) -> Status {
    let response = raw(facade, "POST", path, Some("application/grpc"), body).await;
    assert_eq!(response.status(), 200);
    Status::from_header_map(response.headers()).unwrap()
}

async fn raw(
    facade: &Facade,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &'static [u8],
) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(facade.addr()).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", facade.addr()));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let request = request.body(Full::new(Bytes::from_static(body))).unwrap();
    soon(sender.send_request(request)).await.unwrap()
}

#[tokio::test]
async fn an_unknown_method_or_service_is_unimplemented() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    for path in [
        "/mesibo.v1.UserService/Nothing",
        "/nothing.Here/At",
        "/",
        "/x",
    ] {
        let status = raw_call(&facade, path, &[0; 5]).await;
        assert_eq!(told(&status), ours(Code::Unimplemented, "UNKNOWN_METHOD"));
        assert!(status.message().contains(path), "{status:?}");
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_with_both_sizes() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let send = async |bytes: usize| {
        let message = "x".repeat(bytes);
        let request = SendMessageRequest {
            message,
            ..Default::default()
        };
        facade.messages().send_message(request).await.unwrap_err()
    };
    // Five bytes of tag and length go before the text.
    let status = send((4 << 20) - 4).await;
    assert_eq!(
        told(&status),
        ours(Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
    for size in ["4194305", "4194304"] {
        assert!(status.message().contains(size), "{status:?}");
    }
    assert_eq!(send((4 << 20) - 5).await.code(), Code::InvalidArgument);
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn a_request_that_is_no_message_of_the_contract_is_refused() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let path = "/mesibo.v1.UserService/CreateUser";
    for body in [
        // Field 1 as a number, a field that ends too soon, and no message at all.
        &[0, 0, 0, 0, 2, 0x08, 0x01][..],
        &[0, 0, 0, 0, 2, 0x0A, 0x05],
        &[7, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0],
        &[],
    ] {
        let status = raw_call(&facade, path, body).await;
        assert_eq!(
            told(&status),
            ours(Code::Internal, "MALFORMED_REQUEST"),
            "{body:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_call_is_told_so() {
    let facade = Facade::new("http://127.0.0.1:1/");
    for (method, content_type, expected) in [
        ("GET", None, 405),
        ("POST", None, 415),
        ("POST", Some("text/plain"), 415),
        ("POST", Some("application/json"), 404),
    ] {
        let response = raw(&facade, method, "/", content_type, b"").await;
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn health_of_an_unknown_service_is_not_found() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let request = HealthCheckRequest {
        service: "nothing".into(),
    };
    let status = HealthClient::new(facade.channel.clone())
        .check(request)
        .await;
    assert_eq!(
        told(&status.unwrap_err()),
        ours(Code::NotFound, "UNKNOWN_SERVICE")
    );
}

/// A service with a defect in every RPC.
struct Defective;

#[tonic::async_trait]
#[rustfmt::skip]
impl UserService for Defective {
    type CreateUsersStream = Empty<Result<CreateUsersResponse, Status>>;
    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> { panic!("a secret of the inside") }
    async fn create_users(&self, _: Request<Streaming<CreateUsersRequest>>) -> Result<Response<Self::CreateUsersStream>, Status> { panic!() }
    async fn edit_user(&self, _: Request<EditUserRequest>) -> Result<Response<EditUserResponse>, Status> { panic!() }
    async fn delete_user(&self, _: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResponse>, Status> { panic!() }
    async fn delete_user_token(&self, _: Request<DeleteUserTokenRequest>) -> Result<Response<DeleteUserTokenResponse>, Status> { panic!() }
    async fn regenerate_user_token(&self, _: Request<RegenerateUserTokenRequest>) -> Result<Response<RegenerateUserTokenResponse>, Status> { panic!() }
    async fn list_users(&self, _: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> { Ok(Response::new(ListUsersResponse::default())) }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_internal_and_ends_only_its_call() {
    let services = Services::default().with(UserServiceServer::new(Defective));
    let facade = Facade::serving(services, config("http://127.0.0.1:1/", &[]));
    for door in DOORS {
        let mut users = UserServiceClient::new(door.of(facade.addr()));
        let request = CreateUserRequest::default();
        let status = users.create_user(request).await.unwrap_err();
        assert_eq!(told(&status), ours(Code::Internal, "INTERNAL_PANIC"));
        assert!(!status.message().contains("secret"), "{status:?}");
        let request = ListUsersRequest::default();
        users.list_users(request).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let mut config = config("http://127.0.0.1:1/", &[]).server;
    config.listen = facade.addr();
    assert!(
        Server::bind(config, &ServerMetrics::default())
            .await
            .is_err()
    );
}
