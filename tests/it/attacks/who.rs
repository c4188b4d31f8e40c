//! Calls that are not let in: the log, the audit and the metrics say whose they were.

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        DeleteUserRequest, ListUsersRequest, SendMessageRequest,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        user_service_client::UserServiceClient,
    },
};

use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    facade::{Bearer, soon},
    get, settings_file, told,
};

const KEY: &str = "mgk_s3ntinel";
const WRONG_KEY: &str = "mgk_s3ntinel_wrong";

/// A key, as the log names it.
fn named(key: &str) -> String {
    let hash = KeyHash::of(key.as_bytes()).to_string();
    format!("key:{}", &hash.trim_start_matches("sha256:")[..8])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_let_in_is_told_with_all_that_is_known_of_it() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = settings_file(&format!(
        "[callers.orders]\nkeys = [\"{}\"]\nrate = 0.001\nburst = 2\n\
         from-addresses = [\"shop\"]\n\
         may-call = [\"mesibo.v1.UserService/ListUsers\", \"mesibo.v1.MessageService/*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let config = settings.path().to_str().unwrap();
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let server = Process::serve(
        &backend.url(),
        &[&["--config", config], &metrics[..]].concat(),
    );
    let channel = server.channel().await;

    let list = ListUsersRequest::default;
    let mut nobody = UserServiceClient::new(channel.clone());
    let nobody = nobody.list_users(list()).await.unwrap_err();
    let mut wrong = UserServiceClient::with_interceptor(channel.clone(), Bearer(WRONG_KEY));
    let wrong = wrong.list_users(list()).await.unwrap_err();
    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
    let forbidden = users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await;
    let mut messages = MessageServiceClient::with_interceptor(channel, Bearer(KEY));
    let message = SendMessageRequest {
        from_address: "chief".into(),
        recipient: Some(Recipient::ToAddress("bob".into())),
        message: "hi".into(),
        ..Default::default()
    };
    let sender = messages.send_message(message).await.unwrap_err();
    users.list_users(list()).await.unwrap();
    let over = users.list_users(list()).await.unwrap_err();

    let text = get(server.logged_address("metrics="), "/metrics").await;
    server.signal("TERM");
    let (_, _, log) = server.wait();
    let (known, list) = (named(KEY), "mesibo.v1.UserService/ListUsers");
    for (status, reason, caller, credential, rpc) in [
        (nobody, "NO_CREDENTIALS", "", None, list),
        (wrong, "INVALID_KEY", "", Some(named(WRONG_KEY)), list),
        (
            forbidden.unwrap_err(),
            "RPC_NOT_ALLOWED",
            "orders",
            Some(known.clone()),
            "mesibo.v1.UserService/DeleteUser",
        ),
        (
            sender,
            "SENDER_NOT_ALLOWED",
            "orders",
            Some(known.clone()),
            "mesibo.v1.MessageService/SendMessage",
        ),
        (over, "RATE_LIMITED", "orders", Some(known.clone()), list),
    ] {
        assert_eq!(told(&status).2, reason);
        let lines: Vec<_> = log.lines().filter(|line| line.contains(reason)).collect();
        let [call, audit] = &lines[..] else {
            panic!("{reason} has not two lines: {lines:#?}")
        };
        for line in [call, audit] {
            let caller = (!caller.is_empty()).then(|| format!(" caller=\"{caller}\""));
            let credential = credential.as_ref().map(|it| format!(" credential={it}"));
            for part in [
                Some(" app=\"default\"".into()),
                Some(" peer=127.0.0.1:".into()),
                Some(format!(" rpc=\"{rpc}\"")),
                Some(format!(" reason=\"{reason}\"")),
                caller,
                credential,
            ] {
                let part = part.unwrap_or_default();
                assert!(line.contains(&part), "{line} lacks {part}");
            }
        }
        assert!(
            lines
                .iter()
                .any(|line| line.contains("mesibo_grpc::audit: audit"))
        );
        let series =
            format!("mesibo_grpc_denied_total{{reason=\"{reason}\",caller=\"{caller}\"}} 1\n");
        assert!(text.contains(&series), "{text} lacks {series}");
    }
}

#[tokio::test]
async fn a_token_that_mesibo_rejects_is_an_error_for_the_operator() {
    let backend = Backend::always(Answer::ok(r#"{"result": false, "error": "AUTHFAIL"}"#));
    let server = Process::serve(&backend.url(), &["--metrics-listen", "127.0.0.1:0"]);
    let mut users = UserServiceClient::new(server.channel().await);
    for _ in 0..10 {
        users
            .list_users(ListUsersRequest::default())
            .await
            .unwrap_err();
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
            .unwrap_err();
    }
    let text = get(server.logged_address("metrics="), "/metrics").await;
    assert!(
        text.contains("\nmesibo_grpc_app_token_rejected_total{app=\"default\"} 20\n"),
        "{text}"
    );
    let rejected = "Mesibo rejects the application's token";
    soon(server.logged(rejected)).await;
    let log = server.log();
    let line = log.lines().find(|line| line.contains(rejected)).unwrap();
    assert!(
        line.contains(" ERROR ") && line.contains("app=\"default\" code=\"AUTHFAIL\""),
        "{line}"
    );
}

#[test]
fn a_start_that_lets_others_in_says_so() {
    let settings = settings_file(&format!(
        "[callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let config = ["--config", settings.path().to_str().unwrap()];
    let anywhere = "0.0.0.0:0";
    for (listen, args, warnings) in [
        ("127.0.0.1:0", &[][..], &[][..]),
        (anywhere, &["--allow-anonymous"], &["allow-anonymous:"]),
        (
            anywhere,
            &[&config[..], &["--allow-plaintext", "--proxy-protocol"]].concat(),
            &["allow-plaintext:", "proxy-protocol:"],
        ),
        (
            "127.0.0.1:0",
            &["--metrics-listen", anywhere],
            &["metrics-listen:"],
        ),
    ] {
        let log = Process::serve_on(listen, "http://127.0.0.1:1/", args).log();
        let warned: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
        assert_eq!(warned.len(), warnings.len(), "{warned:#?}");
        for (line, warning) in warned.iter().zip(warnings) {
            assert!(line.contains(warning), "{line} lacks {warning}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_grpc_and_what_does_not_exist_leave_a_line_with_the_peer() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = Process::serve(&backend.url(), &[]);
    let (client, origin) = crate::support::facade::raw(server.address.parse().unwrap());
    for (path, content_type) in [
        ("mesibo.v1.UserService/ListUsers", "text/plain"),
        ("mesibo.v1.UserService/Nothing", "application/grpc"),
    ] {
        for _ in 0..10 {
            let request = http::Request::post(format!("{origin}{path}"))
                .header("content-type", content_type)
                .body(tonic::body::Body::empty());
            client.request(request.unwrap()).await.unwrap();
        }
    }
    server.signal("TERM");
    let (_, _, log) = server.wait();
    for reason in ["NO_CALL", "UNKNOWN_METHOD"] {
        let reason = format!("reason=\"{reason}\"");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&reason)).collect();
        assert!((1..=3).contains(&lines.len()), "{lines:#?}");
        assert!(lines.iter().all(|line| line.contains(" peer=127.0.0.1")));
    }
}
