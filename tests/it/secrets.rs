//! Secrets stay where they belong: the application's token in the body of requests to
//! Mesibo, a caller's key in the metadata of its calls, a user's token in the answer to
//! the caller who asked for it. The fixtures look for them in all that servers give away
//! in every test; here all is written down that can be, and everything echoes them.

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        CreateUserRequest, CreateUserResponse, ListUsersRequest, ListUsersResponse,
        RegenerateUserTokenResponse, SendMessageRequest, User,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        user_service_client::UserServiceClient,
    },
};
use tonic::Status;

use crate::support::{
    Answer, Backend, Process, SENTINEL, TOKEN, facade::Bearer, get, settings_file, told,
};

/// A user's token, of the form that Mesibo's have.
const USER_TOKEN: &str = "89314021d442c8169b2f3baf71c79caa3b026c16daedd3ee9";

/// A caller's key, and one that is nobody's.
const KEY: &str = "mgk_s3ntinel";
const WRONG_KEY: &str = "mgk_s3ntinel_wrong";

/// Every form in which the application's token may be echoed.
fn forms() -> [String; 3] {
    let encoded = form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
    [TOKEN.into(), encoded, TOKEN.replace('/', "\\/")]
}

/// Answers that echo the tokens in every place, well-formed and not.
fn echoes() -> Vec<Answer> {
    let mut answers = vec![
        Answer::ok(format!(
            r#"{{"result": true, "user": {{"uid": "x", "token": "{USER_TOKEN}"}}}}"#
        )),
        Answer::ok(format!(
            r#"{{"result": true, "user": {{"uid": 1, "token": "{USER_TOKEN}"}}}}"#
        )),
        Answer::ok(format!(
            r#"{{"result": true, "users": [{{"token": "{USER_TOKEN}"}}]}}"#
        )),
        Answer::ok(format!(r#"{{"result": true, "users": "{USER_TOKEN}"}}"#)),
        Answer::Hang,
    ];
    for token in forms() {
        answers.extend([
            Answer::ok(&token),
            Answer::ok(format!("<p>the token {token} is wrong</p>")),
            Answer::ok(format!(r#"{{"result": false, "error": "BAD {token}"}}"#)),
            Answer::http(502, &[], &token),
            Answer::http(
                307,
                &[("location", &format!("http://127.0.0.1:1/?token={token}"))],
                "",
            ),
            Answer::SendAndClose(format!("HTTP/1.1 200 {token}\r\nx: {token}").into()),
            Answer::SendAndClose(token.into()),
        ]);
    }
    answers
}

// The client's connection must see the server go while this waits for its end.
#[tokio::test(flavor = "multi_thread")]
async fn no_status_and_no_log_line_at_any_level_has_a_token() {
    let settings = settings_file(&format!(
        "log = \"trace\"\ndefault-deadline = \"300ms\"\n\
         [callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let config = settings.path().to_str().unwrap();
    let config = ["--config", config, "--metrics-listen", "127.0.0.1:0"];
    for answer in echoes() {
        let backend = Backend::always(answer.clone());
        let process = Process::serve(&backend.url(), &config);
        let channel = process.channel().await;
        let mut statuses: Vec<Status> = Vec::new();
        let request = ListUsersRequest::default();
        let mut wrong = UserServiceClient::with_interceptor(channel.clone(), Bearer(WRONG_KEY));
        statuses.extend(wrong.list_users(request).await.err());
        assert_eq!(told(&statuses[0]).2, "INVALID_KEY");
        let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
        let request = CreateUserRequest {
            address: "alice".into(),
            app_id: "demo".into(),
            ..Default::default()
        };
        statuses.extend(users.create_user(request).await.err());
        statuses.extend(users.list_users(ListUsersRequest::default()).await.err());
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::Gid(9)),
            message: "hi".into(),
            ..Default::default()
        };
        let sent = MessageServiceClient::with_interceptor(channel, Bearer(KEY))
            .send_message(request)
            .await;
        statuses.extend(sent.err());
        get(process.logged_address("metrics="), "/metrics").await;
        assert!(backend.requests().len() >= 3);

        process.signal("TERM");
        let (_, printed, log) = process.wait();
        assert!(log.contains("TRACE"), "the log is on");
        for status in &statuses {
            let details = String::from_utf8_lossy(status.details());
            assert_secret_free(&format!("{status:?} {details}"), &answer);
        }
        assert_secret_free(&printed, &answer);
        assert_secret_free(&log, &answer);
    }
}

fn assert_secret_free(text: &str, answer: &Answer) {
    for secret in forms()
        .iter()
        .map(String::as_str)
        .chain([USER_TOKEN, SENTINEL])
    {
        if let Some(at) = text.find(secret) {
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
            panic!("{answer:?} gives away {}", &text[line..at + secret.len()]);
        }
    }
}

#[test]
fn the_debug_output_of_messages_has_no_token() {
    let access_token = USER_TOKEN.to_owned();
    let user = User {
        access_token: Some(access_token.clone()),
        uid: Some(5302),
        ..Default::default()
    };
    for debug in [
        format!(
            "{:?}",
            CreateUserResponse {
                uid: 5302,
                access_token: access_token.clone()
            }
        ),
        format!(
            "{:?}",
            RegenerateUserTokenResponse {
                uid: 5302,
                access_token
            }
        ),
        format!("{user:?}"),
        format!("{:#?}", ListUsersResponse { users: vec![user] }),
    ] {
        assert!(debug.contains("5302"), "{debug}");
        assert!(!debug.contains(USER_TOKEN), "{debug}");
    }
}
