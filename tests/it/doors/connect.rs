//! Connect's protocol of unary calls, case by case: the codes, details, time-outs and the
//! JSON that its conformance suite looks at.

use http::Method;
use mesibo_grpc::proto::{CreateUserRequest, CreateUserResponse};
use prost::Message as _;
use serde_json::{Value, json};

use super::{ask, post};
use crate::support::{Answer, Backend, EVERYTHING, Facade, Process, facade::soon, get};

const USERS: &str = "/mesibo.v1.UserService";
const GROUPS: &str = "/mesibo.v1.GroupService";

/// A user that may be created.
const ALICE: &str = r#"{"address": "alice", "appId": "demo"}"#;

fn facade() -> (Backend, Facade) {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    (backend, facade)
}

#[tokio::test]
async fn a_call_in_json_and_in_protobuf_is_answered_in_its_own_encoding() {
    let (backend, facade) = facade();
    let path = format!("{USERS}/CreateUser");
    for is_http1 in [true, false] {
        for content_type in ["application/json", "application/json; charset=utf-8"] {
            let headers = [("content-type", content_type)];
            let created = ask(
                facade.addr(),
                is_http1,
                Method::POST,
                &path,
                &headers,
                ALICE,
            )
            .await;
            assert_eq!(created.status, 200, "{}", created.text());
            assert_eq!(created.header("content-type"), Some("application/json"));
            assert!(created.header("x-request-id").is_some());
            assert!(
                !created
                    .headers
                    .keys()
                    .any(|name| name.as_str().starts_with("grpc-"))
            );
            // Numbers of 64 bits are texts.
            assert_eq!(created.json()["uid"], "5302");
        }
        let message = CreateUserRequest {
            address: "alice".into(),
            app_id: "demo".into(),
            ..Default::default()
        };
        let headers = [("content-type", "application/proto")];
        let body = message.encode_to_vec();
        let created = ask(facade.addr(), is_http1, Method::POST, &path, &headers, body).await;
        assert_eq!(created.header("content-type"), Some("application/proto"));
        let response = CreateUserResponse::decode(created.body).unwrap();
        assert_eq!(response.uid, 5302);
    }
    assert_eq!(backend.requests().len(), 6);
}

#[tokio::test]
async fn messages_in_json_are_protobufs_own_mapping() {
    let (backend, facade) = facade();
    let create = format!("{USERS}/CreateUser");
    let edit = format!("{GROUPS}/EditGroupMembers");
    for (path, body, sent) in [
        // Either name of a field, durations as texts, and null for what is not set.
        (
            &create,
            r#"{"address": "a", "app_id": "b", "tokenExpiry": "120s"}"#,
            ("expiry", "2"),
        ),
        (
            &create,
            r#"{"address": "a", "appId": "b", "name": null}"#,
            ("addr", "a"),
        ),
        (
            &create,
            r#"{"address": "\u00e9\n", "appId": "b"}"#,
            ("", ""),
        ),
        // Numbers of 64 bits as texts and as numbers, enums by name and by number.
        (
            &edit,
            r#"{"gid": "7", "members": ["a"], "action": "ACTION_REMOVE"}"#,
            ("delete", "1"),
        ),
        (
            &edit,
            r#"{"gid": 7, "members": ["a"], "action": 2}"#,
            ("delete", "1"),
        ),
        (
            &edit,
            r#"{"gid": "7", "members": ["a"], "action": 1}"#,
            ("delete", "0"),
        ),
    ] {
        let before = backend.requests().len();
        let response = post(facade.addr(), path, &[], body).await;
        let (name, value) = sent;
        if name.is_empty() {
            // A rule of the contract stops it.
            assert_eq!(response.status, 400, "{body}: {}", response.text());
            continue;
        }
        assert_eq!(response.status, 200, "{body}: {}", response.text());
        let requests = backend.requests();
        assert_eq!(requests[before].get(name), Some(value), "{body}");
    }
}

#[tokio::test]
async fn what_is_no_message_in_json_is_refused_and_says_what_is_wrong() {
    let (backend, facade) = facade();
    let path = format!("{USERS}/CreateUser");
    for (body, mistake) in [
        ("", "EOF while parsing"),
        ("{", "EOF while parsing"),
        ("[]", "invalid type: sequence"),
        ("null", "invalid type: null"),
        (r#"{"address": "a"} {}"#, "trailing characters"),
        (
            r#"{"address": "a", "nickname": "b"}"#,
            "unrecognized field name 'nickname'",
        ),
        (
            r#"{"address": 5}"#,
            "invalid type: integer `5`, expected a string",
        ),
        (
            r#"{"address": "a", "tokenExpiry": 3}"#,
            "invalid type: integer `3`",
        ),
        (r#"{"maxGroups": "4294967296"}"#, ""),
        (r#"{"maxGroups": -1}"#, ""),
    ] {
        let refused = post(facade.addr(), &path, &[], body).await;
        assert_eq!(refused.status, 400, "{body}");
        let error = refused.json();
        assert_eq!(error["code"], "invalid_argument");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(mistake), "{body}: {text}");
        assert!(text.len() < 400, "{text}");
        assert_eq!(error["details"][0]["debug"]["reason"], "MALFORMED_REQUEST");
    }
    // So many values are not built from it.
    let members = "\"\",".repeat(400_000);
    let body = format!("{{\"members\": [{members}\"\"]}}");
    let refused = post(facade.addr(), &format!("{GROUPS}/CreateGroup"), &[], &body).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (400, &json!("invalid_argument"))
    );
    assert!(
        refused.text().contains("10000 fields"),
        "{}",
        refused.text()
    );
    // Nor is a text that is too long read.
    let facade = Facade::with(&backend.url(), &[("max-request-bytes", "65536")]);
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(65_536));
    let refused = post(facade.addr(), &format!("{GROUPS}/CreateGroup"), &[], &body).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("65536"), "{}", refused.text());
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn an_error_has_its_details_for_programs_and_for_people() {
    let (_backend, facade) = facade();
    let path = format!("{USERS}/DeleteUser");
    let refused = post(facade.addr(), &path, &[("x-request-id", "abc")], "{}").await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(refused.header("x-request-id"), Some("abc"));
    let error = refused.json();
    assert_eq!(error["code"], "invalid_argument");
    let details = error["details"].as_array().unwrap();
    let of_type = |name: &str| details.iter().find(|it| it["type"] == name).unwrap();
    let info = of_type("google.rpc.ErrorInfo");
    assert_eq!(info["debug"]["domain"], "mesibo-grpc");
    let value = info["value"].as_str().unwrap();
    assert!(!value.is_empty() && !value.contains('='), "{value}");
    let request = of_type("google.rpc.BadRequest");
    assert_eq!(request["debug"]["fieldViolations"][0]["field"], "uid");
    assert_eq!(
        of_type("google.rpc.RequestInfo")["debug"]["requestId"],
        "abc"
    );
}

#[tokio::test]
async fn what_mesibo_refuses_has_the_http_status_of_its_code() {
    for (code, expected, status) in [
        ("BADPARA", "invalid_argument", 400),
        ("AUTHFAIL", "unauthenticated", 401),
        ("ACCESSDENIED", "permission_denied", 403),
        ("NOUSER", "not_found", 404),
        ("EXISTS", "already_exists", 409),
        ("QUOTA", "resource_exhausted", 429),
        ("BADOP", "unimplemented", 501),
        ("SOMETHING", "unknown", 500),
    ] {
        let reply = format!(r#"{{"result": false, "error": "{code}"}}"#);
        let backend = Backend::always(Answer::ok(reply));
        let facade = Facade::new(&backend.url());
        let path = format!("{USERS}/DeleteUser");
        let refused = post(facade.addr(), &path, &[], r#"{"uid": "7"}"#).await;
        assert_eq!(refused.status, status, "{code}: {}", refused.text());
        assert_eq!(refused.json()["code"], expected, "{code}");
        let challenge = (status == 401).then_some("Bearer");
        assert_eq!(refused.header("www-authenticate"), challenge, "{code}");
    }
    let facade = Facade::new("http://127.0.0.1:1/");
    let refused = post(facade.addr(), &format!("{USERS}/ListUsers"), &[], "{}").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[tokio::test]
async fn headers_of_the_protocol_are_heeded() {
    let (backend, facade) = facade();
    let path = format!("{USERS}/ListUsers");
    for (header, value, status, code) in [
        ("connect-protocol-version", "1", 200, Value::Null),
        (
            "connect-protocol-version",
            "2",
            400,
            json!("invalid_argument"),
        ),
        ("connect-timeout-ms", "5000", 200, Value::Null),
        ("connect-timeout-ms", "0", 504, json!("deadline_exceeded")),
        ("connect-timeout-ms", "1S", 400, json!("invalid_argument")),
        (
            "connect-timeout-ms",
            "12345678901",
            400,
            json!("invalid_argument"),
        ),
        ("content-encoding", "identity", 200, Value::Null),
        ("content-encoding", "zstd", 501, json!("unimplemented")),
    ] {
        let answered = post(facade.addr(), &path, &[(header, value)], "{}").await;
        assert_eq!(
            answered.status,
            status,
            "{header}: {value}: {}",
            answered.text()
        );
        assert_eq!(answered.json()["code"], code, "{header}: {value}");
        let accepts = (value == "zstd").then_some("gzip, identity");
        assert_eq!(answered.header("accept-encoding"), accepts);
    }
    assert_eq!(backend.requests().len(), 3);
}

#[tokio::test]
async fn what_is_no_call_of_connect_is_told_so() {
    let (_backend, facade) = facade();
    let json = "application/json";
    for is_http1 in [true, false] {
        for (method, path, content_type, status) in [
            ("GET", "/mesibo.v1.UserService/ListUsers", json, 405),
            ("OPTIONS", "/mesibo.v1.UserService/ListUsers", json, 405),
            (
                "POST",
                "/mesibo.v1.UserService/ListUsers",
                "application/connect+json",
                415,
            ),
            (
                "POST",
                "/mesibo.v1.UserService/ListUsers",
                "text/plain",
                415,
            ),
            // A stream.
            ("POST", "/grpc.health.v1.Health/Watch", json, 415),
            ("POST", "/mesibo.v1.UserService/Nothing", json, 404),
            ("POST", "/", json, 404),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let headers = [("content-type", content_type)];
            let told = ask(facade.addr(), is_http1, method, path, &headers, "{}").await;
            assert_eq!(told.status, status, "{path} {content_type}");
            let allow = (status == 405).then_some("POST");
            assert_eq!(told.header("allow"), allow);
            assert_eq!(told.text().lines().count(), 1, "{}", told.text());
        }
    }
    let health = post(facade.addr(), "/grpc.health.v1.Health/Check", &[], "{}").await;
    assert_eq!(health.json(), json!({"status": "SERVING"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_metrics_name_the_dialect() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let process = Process::serve(&backend.url(), &["--metrics-listen", "127.0.0.1:0"]);
    let server = process.address.parse().unwrap();
    post(server, &format!("{USERS}/ListUsers"), &[], "{}").await;
    soon(process.logged("dialect=\"connect\"")).await;
    let counted = "grpc_server_handled_total{grpc_type=\"unary\",\
                   grpc_service=\"mesibo.v1.UserService\",\
                   grpc_method=\"ListUsers\",grpc_code=\"OK\",dialect=\"connect\"} 1\n";
    let metrics = process.logged_address("metrics=");
    soon(async { while !get(metrics, "/metrics").await.contains(counted) {} }).await;
}
