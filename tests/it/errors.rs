//! What a caller is told of each failure between the facade and Mesibo.
//!
//! One RPC stands for its kind: `ListUsers` for the reads, `EditUser` for the writes
//! that may be repeated, `SendMessage` for those that may not.

use std::time::Duration;

use mesibo_grpc::proto::{
    EditUserRequest, ListUsersRequest, SendMessageRequest, send_message_request::Recipient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Answer, Backend, Facade, Told, telling, told};

const OURS: &str = "mesibo-grpc";
const MESIBO: &str = "mesibo.com";
const UNKNOWN: (&str, &str) = ("outcome", "unknown");

/// Every kind of RPC, by its operation.
pub const KINDS: [&str; 3] = ["usersget", "userset", "message"];

/// The status of a call that fails.
pub async fn status_of(op: &str, facade: &Facade) -> Status {
    match op {
        "usersget" => {
            let request = ListUsersRequest::default();
            facade.users().list_users(request).await.unwrap_err()
        }
        "userset" => {
            let request = EditUserRequest {
                uid: 7,
                flags: Some(1),
                active: None,
                ..EditUserRequest::default()
            };
            facade.users().edit_user(request).await.unwrap_err()
        }
        "message" => {
            let request = SendMessageRequest {
                from_address: "alice".into(),
                recipient: Some(Recipient::Gid(9)),
                message: "hi".into(),
                ..Default::default()
            };
            facade.messages().send_message(request).await.unwrap_err()
        }
        _ => unreachable!(),
    }
}

async fn status_after(op: &str, answer: Answer) -> Status {
    let backend = Backend::always(answer);
    status_of(op, &Facade::new(&backend.url())).await
}

/// What each kind of RPC tells of an answer.
async fn told_after(answer: Answer) -> [Told; 3] {
    let mut all = Vec::new();
    for op in KINDS {
        let status = status_after(op, answer.clone()).await;
        // Only what may not be repeated, and may have happened, is fenced off.
        let unknown = told(&status).3.contains_key("outcome");
        let pushback = status.metadata().get("grpc-retry-pushback-ms");
        assert_eq!(
            pushback.map(|value| value.to_str().unwrap()),
            (unknown && op == "message").then_some("-1"),
            "{status:?}"
        );
        all.push(told(&status));
    }
    all.try_into().unwrap()
}

/// The same for every kind, but for the name of the operation.
fn alike(code: Code, domain: &str, reason: &str, metadata: &[(&str, &str)]) -> [Told; 3] {
    KINDS.map(|op| telling(code, domain, reason, &[metadata, &[("op", op)]].concat()))
}

/// A read has no outcome to lose; the writes have.
fn unsure(codes: [Code; 3], reason: &str, metadata: &[(&str, &str)]) -> [Told; 3] {
    let [read, idempotent, once] = KINDS.map(|op| [metadata, &[("op", op)]].concat());
    [
        telling(codes[0], OURS, reason, &read),
        telling(
            codes[1],
            OURS,
            reason,
            &[&idempotent[..], &[UNKNOWN]].concat(),
        ),
        telling(codes[2], OURS, reason, &[&once[..], &[UNKNOWN]].concat()),
    ]
}

#[tokio::test]
async fn mesibos_error_codes_become_grpc_codes() {
    for (error, code) in [
        ("BADOP", Code::Unimplemented),
        ("AUTHFAIL", Code::Unauthenticated),
        ("BADTOKEN", Code::Unauthenticated),
        ("TOKENBREACH", Code::PermissionDenied),
        ("APPDISABLED", Code::PermissionDenied),
        ("EXISTS", Code::AlreadyExists),
        ("NOUSER", Code::NotFound),
        ("MISSINGPARA", Code::InvalidArgument),
        ("TOOMANYGROUPS", Code::ResourceExhausted),
        ("SOMETHING", Code::Unknown),
    ] {
        let reply = format!(r#"{{"op": "someop", "result": false, "error": "{error}"}}"#);
        assert_eq!(
            told_after(Answer::ok(&reply)).await,
            alike(code, MESIBO, error, &[]),
            "{error}"
        );
        // A reply that can be read goes before the HTTP status.
        assert_eq!(
            told_after(Answer::http(502, &[], &reply)).await,
            alike(code, MESIBO, error, &[]),
            "{error}"
        );
    }
    assert_eq!(
        told_after(Answer::ok("FAIL")).await,
        alike(Code::Unknown, MESIBO, "NO_ERROR_CODE", &[])
    );
}

#[tokio::test]
async fn a_rejected_token_is_the_facades_not_the_callers() {
    let reply = r#"{"result": false, "error": "AUTHFAIL"}"#;
    let status = status_after("message", Answer::ok(reply)).await;
    assert_eq!(
        status.message(),
        "Mesibo rejected the facade's application token (AUTHFAIL), not the caller's \
         credentials; the facade's operator must set a valid one"
    );
}

#[tokio::test]
async fn an_operators_table_of_error_codes_goes_first() {
    let backend = Backend::always(Answer::ok(r#"{"result": false, "error": "BADOP"}"#));
    let facade = Facade::with(
        &backend.url(),
        &[("error-codes", "BADOP=FAILED_PRECONDITION")],
    );
    assert_eq!(
        told(&status_of("userset", &facade).await),
        telling(
            Code::FailedPrecondition,
            MESIBO,
            "BADOP",
            &[("op", "userset")]
        )
    );
}

#[tokio::test]
async fn an_http_status_without_a_reply_is_mapped_as_grpc_says() {
    for (http, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (418, Code::Unknown),
        (429, Code::Unavailable),
        (503, Code::Unavailable),
    ] {
        let metadata = [("http_status", &*http.to_string())];
        let expected = alike(code, OURS, "UPSTREAM_HTTP_STATUS", &metadata);
        for body in ["", "<html>", r#"{"error": "Bad Gateway"}"#, "OK"] {
            let answer = Answer::http(http, &[], body);
            assert_eq!(told_after(answer).await, expected, "{http} {body}");
        }
    }
}

#[tokio::test]
async fn a_failed_gateway_leaves_the_outcome_of_writes_unknown() {
    for (http, read) in [
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (504, Code::Unavailable),
        (520, Code::Unknown),
    ] {
        let metadata = [("http_status", &*http.to_string())];
        let expected = unsure(
            [read, read, Code::Unknown],
            "UPSTREAM_HTTP_STATUS",
            &metadata,
        );
        let answer = Answer::http(http, &[], "<html>");
        assert_eq!(told_after(answer).await, expected, "{http}");
    }
}

#[tokio::test]
async fn a_retry_after_becomes_retry_info_where_a_retry_is_safe() {
    let later = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(1000));
    // Both are longer than the deadline: a read would wait for less.
    for (value, range) in [("20", 20..=20), (&*later, 900..=1000)] {
        for op in KINDS {
            let answer = Answer::http(503, &[("retry-after", value)], "");
            let details = status_after(op, answer).await.get_error_details();
            let delay = details.retry_info().unwrap().retry_delay.unwrap();
            assert!(range.contains(&delay.as_secs()), "{delay:?}");
        }
    }
    let answer = Answer::http(502, &[("retry-after", "7")], "");
    let details = status_after("message", answer).await.get_error_details();
    assert!(details.retry_info().is_none());
    let details = status_after("message", Answer::http(429, &[("retry-after", "soon")], ""))
        .await
        .get_error_details();
    assert!(details.retry_info().is_none());
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Backend::always(Answer::ok("OK"));
    for http in [301, 302, 303, 307, 308] {
        let answer = Answer::http(http, &[("location", &elsewhere.url())], "OK");
        let metadata = [("http_status", &*http.to_string())];
        assert_eq!(
            told_after(answer).await,
            alike(Code::Internal, OURS, "UNEXPECTED_REDIRECT", &metadata)
        );
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn nothing_was_sent_if_there_is_no_connection() {
    // A port that was free a moment ago, and a name that does not exist.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    for url in [&*nobody, "https://nowhere.invalid/"] {
        let facade = Facade::new(url);
        for op in KINDS {
            assert_eq!(
                told(&status_of(op, &facade).await),
                telling(
                    Code::Unavailable,
                    OURS,
                    "UPSTREAM_UNREACHABLE",
                    &[("op", op)]
                ),
                "{url}"
            );
        }
    }
}

#[tokio::test]
async fn a_lost_connection_leaves_the_outcome_of_writes_unknown() {
    let expected = || {
        let codes = [Code::Unavailable, Code::Unavailable, Code::Unknown];
        unsure(codes, "CONNECTION_LOST", &[])
    };
    for sent in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"result\": true",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1",
    ] {
        let answer = Answer::SendAndClose(sent.into());
        assert_eq!(told_after(answer).await, expected(), "{sent}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_reply_is_malformed_and_leaves_the_outcome_unknown() {
    let too_large = format!(r#"{{"result": true, "x": "{}"}}"#, "x".repeat(1 << 20));
    for answer in [
        Answer::ok("<html>"),
        Answer::ok(r#"{"op": "groupdel", "result": true}"#),
        Answer::ok(&too_large),
        Answer::http(204, &[], ""),
        Answer::Send("SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
    ] {
        let expected = unsure([Code::Internal; 3], "MALFORMED_REPLY", &[]);
        assert_eq!(told_after(answer).await, expected);
    }
}

#[tokio::test]
async fn the_largest_reply_is_read() {
    let frame = r#"{"result": true, "x": ""}"#;
    let filler = "x".repeat((1 << 20) - frame.len());
    let backend = Backend::always(Answer::ok(format!(
        r#"{{"result": true, "x": "{filler}"}}"#
    )));
    let request = ListUsersRequest::default();
    let response = Facade::new(&backend.url())
        .users()
        .list_users(request)
        .await;
    assert!(response.is_ok());
}

#[tokio::test]
async fn a_deadline_leaves_the_outcome_of_writes_unknown() {
    let backend = Backend::always(Answer::Hang);
    let facade = Facade::with(&backend.url(), &[("default-deadline", "100ms")]);
    let mut all = Vec::new();
    for op in KINDS {
        all.push(told(&status_of(op, &facade).await));
    }
    assert_eq!(
        all,
        unsure([Code::DeadlineExceeded; 3], "DEADLINE_EXCEEDED", &[])
    );
}

#[tokio::test]
async fn a_message_to_or_from_nobody_says_that_it_may_be_either_side() {
    let backend = Backend::always(Answer::ok(r#"{"result": false, "error": "NOUSER"}"#));
    let facade = Facade::new(&backend.url());
    let status = status_of("message", &facade).await;
    assert_eq!(
        status.message(),
        "Mesibo refused message with NOUSER; it does not know the sender or a receiver, and \
         does not say which"
    );
    let status = status_of("userset", &facade).await;
    let text = "Mesibo refused userset with NOUSER; check ids and addresses";
    assert_eq!(status.message(), text);
}
