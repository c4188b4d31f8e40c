//! Logs and traces: every call is found again, by its id and by its trace.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use mesibo_grpc::proto::{
    DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Server};
use tonic_types::StatusExt as _;

use crate::support::{
    Answer, Backend, Process, TOKEN, backend::ANY_PORT, facade::soon, process::command, thread,
};

/// What the W3C's recommendation has as its example.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn request<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        let value = value.parse().unwrap();
        request.metadata_mut().insert(*name, value);
    }
    request
}

fn id(metadata: &MetadataMap) -> String {
    metadata
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// A backend that knows nobody.
fn backend() -> Backend {
    Backend::scripted(|request| match request.get("op").unwrap() {
        "userdel" => Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        _ => Answer::ok(r#"{"result": true, "users": []}"#),
    })
}

#[tokio::test]
async fn a_call_leaves_a_line_and_its_id_is_everywhere() {
    let backend = backend();
    let server = Process::serve(&backend.url(), &[]);
    let mut users = UserServiceClient::new(server.channel().await);
    let listed = users.list_users(ListUsersRequest::default()).await.unwrap();
    let made_up = id(listed.metadata());
    let version = listed.metadata().get("server").unwrap();
    assert_eq!(version, concat!("mesibo-grpc/", env!("CARGO_PKG_VERSION")));
    let delete = request(
        DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        },
        &[("x-request-id", "mine-1")],
    );
    let status = users.delete_user(delete).await.unwrap_err();
    assert_eq!(id(status.metadata()), "mine-1");
    let details = status.get_error_details();
    assert_eq!(details.request_info().unwrap().request_id, "mine-1");
    assert_eq!(details.error_info().unwrap().reason, "NOUSER");
    // One that would break the log is not taken.
    let wrong = request(
        DeleteUserRequest {
            uid: 0,
            ..DeleteUserRequest::default()
        },
        &[("x-request-id", "a b")],
    );
    let status = users.delete_user(wrong).await.unwrap_err();
    assert_ne!(id(status.metadata()), "a b");

    soon(server.logged("InvalidArgument")).await;
    let log = server.log();
    let line = |id: &str, has: &str| {
        let of_call = |line: &&str| line.contains(&format!("call{{request_id=\"{id}\"}}"));
        let line = log.lines().filter(of_call).find(|line| line.contains(has));
        line.unwrap_or_else(|| panic!("{log} lacks {has} of {id}"))
    };
    let list = line(&made_up, ": call ");
    for part in [
        " INFO ",
        "caller=\"anonymous\" app=\"default\" rpc=\"mesibo.v1.UserService/ListUsers\" \
         dialect=\"grpc\" code=\"OK\" upstream=\"ok\" peer=127.0.0.1:",
        " duration_ms=",
    ] {
        assert!(list.contains(part), "{list} lacks {part}");
    }
    line(
        "mine-1",
        "code=\"NotFound\" upstream=\"refused\" upstream_code=\"NOUSER\"",
    );
    soon(server.logged("mesibo_grpc::audit: audit")).await;
    let log = server.log();
    let of_delete = log.lines().filter(|line| line.contains("mine-1"));
    assert_eq!(of_delete.count(), 2, "the call and the audit: {log}");
    let id = id(status.metadata());
    soon(server.logged(&format!("call{{request_id=\"{id}\"}}"))).await;
}

#[tokio::test]
async fn json_lines_are_for_machines() {
    let backend = backend();
    let server = Process::serve(&backend.url(), &[]);
    drop(server);
    let mut command = command(&["serve", "--log-format", "json", "--listen", "127.0.0.1:0"]);
    command.args(["--upstream-url", &backend.url(), "--lame-duck", "0s"]);
    let mut child = command
        .env("MESIBO_APP_TOKEN", TOKEN)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(stderr)
        .map(|line| serde_json::from_str::<Json>(&line.unwrap()).unwrap());
    let serving = lines
        .find(|line| line["message"] == "serving gRPC")
        .unwrap();
    let address = serving["listen"].as_str().unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let mut users = UserServiceClient::new(channel);
    let delete = request(
        DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        },
        &[("x-request-id", "mine-1")],
    );
    users.delete_user(delete).await.unwrap_err();
    let call = lines.find(|line| line["message"] == "call").unwrap();
    assert_eq!(call["rpc"], "mesibo.v1.UserService/DeleteUser");
    assert_eq!(call["code"], "NotFound");
    assert_eq!(call["request_id"], "mine-1");
    assert!(call["duration_ms"].is_u64());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_trace_context_goes_on_to_mesibo_and_a_wrong_one_does_not() {
    let backend = backend();
    let server = Process::serve(&backend.url(), &[]);
    let mut users = UserServiceClient::new(server.channel().await);
    let right = format!("00-{TRACE}-{PARENT}-01");
    let metadata = [("traceparent", right.as_str()), ("tracestate", "vendor=1")];
    for metadata in [&metadata[..], &[], &[("traceparent", "00-s0-x-01")]] {
        let list = request(ListUsersRequest::default(), metadata);
        users.list_users(list).await.unwrap();
        let delete = request(
            DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            },
            metadata,
        );
        users.delete_user(delete).await.unwrap_err();
    }
    let requests = backend.requests();
    for request in &requests[..2] {
        assert_eq!(request.header("traceparent"), Some(right.as_str()));
        assert_eq!(request.header("tracestate"), Some("vendor=1"));
    }
    for request in &requests[2..] {
        assert_eq!(request.header("traceparent"), None);
    }
}

/// A collector that keeps spans.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn keep(&self, request: ExportTraceServiceRequest) {
        let mut kept = self.0.lock().unwrap();
        for spans in request.resource_spans {
            let resource = format!("{:?}", spans.resource);
            for part in ["mesibo-grpc", "service.version", env!("CARGO_PKG_VERSION")] {
                assert!(resource.contains(part), "{resource} lacks {part}");
            }
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans);
        }
    }

    /// Speaks OTLP over HTTP.
    fn start_http(&self) -> thread::Server {
        let collector = self.clone();
        let take = post(async move |body: Bytes| {
            collector.keep(ExportTraceServiceRequest::decode(body).unwrap());
            ExportTraceServiceResponse::default().encode_to_vec()
        });
        let router = Router::new().route("/v1/traces", take);
        thread::Server::start(async move |tell, stopped| {
            let listener = TcpListener::bind(ANY_PORT).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let stopped = async {
                let _ = stopped.await;
            };
            let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
            server.await.unwrap();
        })
    }

    /// Speaks OTLP over gRPC.
    fn start_grpc(&self) -> thread::Server {
        let service = TraceServiceServer::new(self.clone());
        thread::Server::start(async move |tell, stopped| {
            let listener = TcpListener::bind(ANY_PORT).await.unwrap();
            let address: SocketAddr = listener.local_addr().unwrap();
            tell.send(address).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let stopped = async {
                let _ = stopped.await;
            };
            let server = Server::builder().add_service(service);
            server
                .serve_with_incoming_shutdown(incoming, stopped)
                .await
                .unwrap();
        })
    }
}

/// An attribute of a span, as text.
fn attribute(span: &Span, key: &str) -> String {
    let pair = span.attributes.iter().find(|pair| pair.key == key);
    match pair.and_then(|pair| pair.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_to_a_collector_over_http_or_grpc_with_the_callers_as_their_parents() {
    let collector = Collector::default();
    assert_traced(&collector, &collector.start_http(), &[]).await;
    let collector = Collector::default();
    let protocol = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert_traced(&collector, &collector.start_grpc(), &protocol).await;
}

#[test]
fn a_protocol_of_traces_that_is_not_spoken_stops_the_start() {
    let output = command(&["serve", "--listen", "127.0.0.1:0"])
        .env("MESIBO_APP_TOKEN", TOKEN)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let log = String::from_utf8(output.stderr).unwrap();
    let mistake = "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf or grpc, and it is \
                   \"http/json\"";
    assert!(log.contains(mistake), "{log}");
}

/// Makes a call, and looks for its spans at a collector that speaks a protocol.
async fn assert_traced(collector: &Collector, running: &thread::Server, protocol: &[(&str, &str)]) {
    let backend = backend();
    let mut command = command(&["serve", "--upstream-url", &backend.url()]);
    let address = format!("http://{}", running.addr);
    command
        .env("MESIBO_APP_TOKEN", TOKEN)
        .env("MESIBO_GRPC_LAME_DUCK", "0s")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        .envs(protocol.iter().copied());
    let server = Process::start(command);
    let mut users = UserServiceClient::new(server.channel().await);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let metadata = [("traceparent", parent.as_str())];
    let delete = request(
        DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        },
        &metadata,
    );
    users.delete_user(delete).await.unwrap_err();
    // What is left goes out at the end.
    server.signal("TERM");
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");

    let spans = collector.0.lock().unwrap().clone();
    let of = |kind: SpanKind| {
        let span = spans.iter().find(|span| span.kind() == kind);
        span.unwrap_or_else(|| panic!("{spans:?}"))
    };
    let (call, post) = (of(SpanKind::Server), of(SpanKind::Client));
    assert_eq!(call.name, "mesibo.v1.UserService/DeleteUser");
    assert_eq!(hex::encode(&call.trace_id), TRACE);
    assert_eq!(hex::encode(&call.parent_span_id), PARENT);
    for (key, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "mesibo.v1.UserService"),
        ("rpc.method", "DeleteUser"),
        ("rpc.grpc.status_code", "5"),
        ("mesibo_grpc.caller", "anonymous"),
        ("mesibo_grpc.app", "default"),
        ("mesibo_grpc.upstream", "refused"),
    ] {
        assert_eq!(attribute(call, key), value, "{call:?}");
    }
    assert_eq!(post.name, "POST");
    assert_eq!(post.parent_span_id, call.span_id);
    assert_eq!(attribute(post, "mesibo.op"), "userdel");
    assert_eq!(attribute(post, "http.request.method"), "POST");
    assert_eq!(attribute(post, "http.response.status_code"), "200");
    assert_eq!(attribute(post, "server.address"), "127.0.0.1");
    let sent = format!("00-{TRACE}-{}-01", hex::encode(&post.span_id));
    assert_eq!(
        backend.only_request().header("traceparent"),
        Some(sent.as_str())
    );
    let all = format!("{spans:?}");
    crate::support::assert_no_secret("a trace", &all);
}
