//! The line in the audit for every call that changes something.

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        CreateGroupRequest, DeleteUserRequest, EditGroupMembersRequest, ListUsersRequest,
        SendMessageRequest, edit_group_members_request::Action,
        group_service_client::GroupServiceClient, message_service_client::MessageServiceClient,
        send_message_request::Recipient, user_service_client::UserServiceClient,
    },
};
use tonic::{Request, Status, service::Interceptor};

use crate::support::{Answer, Backend, Process, facade::soon, settings_file, write_private};

const KEY: &str = "s3ntinel-key";

/// Shows the key, and names the app.
#[derive(Clone)]
struct Orders;

impl Interceptor for Orders {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let key = format!("Bearer {KEY}").parse().unwrap();
        request.metadata_mut().insert("authorization", key);
        let app = "shop".parse().unwrap();
        request.metadata_mut().insert("mesibo-app", app);
        Ok(request)
    }
}

/// The lines of the audit, from the name of the caller on, without the durations and the
/// ports of peers.
fn lines(log: &str) -> Vec<String> {
    let line = |line: &str| {
        let (line, _) = line.split_once(" duration_ms=").unwrap();
        let (before, rest) = line.split_once("peer=127.0.0.1:").unwrap();
        let port = rest.find(' ').unwrap();
        format!("{before}peer=127.0.0.1{}", &rest[port..])
    };
    log.lines()
        .filter_map(|line| line.split_once("mesibo_grpc::audit: "))
        .map(|(_, it)| line(it))
        .collect()
}

#[tokio::test]
async fn what_changes_something_leaves_a_line_with_its_outcome_and_no_text() {
    let backend = Backend::scripted(|request| match request.get("op").unwrap() {
        "userdel" => Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        "groupeditmembers" => Answer::http(500, &[], ""),
        "groupadd" => Answer::ok(r#"{"result": true, "group": {"gid": 9}}"#),
        _ => Answer::ok(r#"{"result": true, "mid": 7, "users": []}"#),
    });
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    write_private(&token, "s3ntinel");
    let settings = settings_file(&format!(
        "[apps.shop]\ntoken-file = {token:?}\n\
         [callers.orders]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\napps = [\"shop\"]\n",
        KeyHash::of(KEY.as_bytes())
    ));
    let config = settings.path().to_str().unwrap();
    let server = Process::serve(&backend.url(), &["--config", config]);
    let channel = server.channel().await;

    let mut users = UserServiceClient::with_interceptor(channel.clone(), Orders);
    users.list_users(ListUsersRequest::default()).await.unwrap();
    let request = DeleteUserRequest {
        uid: 5302,
        ..DeleteUserRequest::default()
    };
    users.delete_user(request).await.unwrap_err();
    let mut groups = GroupServiceClient::with_interceptor(channel.clone(), Orders);
    let request = CreateGroupRequest {
        name: Some("s3ntinel name".into()),
        members: vec!["alice".into(), "bob".into()],
        ..Default::default()
    };
    groups.create_group(request).await.unwrap();
    let request = EditGroupMembersRequest {
        gid: 9,
        members: vec!["x".repeat(1000)],
        action: Action::Remove.into(),
        ..Default::default()
    };
    groups.edit_group_members(request).await.unwrap_err();
    let mut messages = MessageServiceClient::with_interceptor(channel, Orders);
    let request = SendMessageRequest {
        from_address: "shop & co outcome=\"done\"".into(),
        recipient: Some(Recipient::ToAddress("alice,bob".into())),
        message: "s3ntinel message".into(),
        request_id: Some("6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e".into()),
        ..Default::default()
    };
    for _ in 0..2 {
        messages.send_message(request.clone()).await.unwrap();
    }

    let hash = KeyHash::of(KEY.as_bytes()).to_string();
    let credential = &hash["sha256:".len()..][..8];
    let line = |rpc, rest| {
        format!(
            "audit caller=\"orders\" app=\"shop\" rpc=\"mesibo.v1.{rpc}\" peer=127.0.0.1 \
             credential=key:{credential} {rest}"
        )
    };
    let cut = "x".repeat(198);
    let expected = [
        line(
            "UserService/DeleteUser",
            r#"subject="uid=5302" outcome="not_done" failure="refused" code="NOUSER""#,
        ),
        line(
            "GroupService/CreateGroup",
            r#"subject="m=alice%2Cbob" outcome="done" id=9"#,
        ),
        line(
            "GroupService/EditGroupMembers",
            &format!(r#"subject="gid=9&m={cut}" outcome="unknown" failure="http_status""#),
        ),
        line(
            "MessageService/SendMessage",
            r#"subject="from=shop+%26+co+outcome%3D%22done%22&to=alice%2Cbob" outcome="done" id=7"#,
        ),
    ];
    soon(server.logged("outcome=\"done\" id=7")).await;
    assert_eq!(lines(&server.log()), expected);
}

#[tokio::test]
async fn a_write_that_the_end_of_the_process_cuts_off_leaves_its_line_too() {
    let backend = Backend::always(Answer::Hang);
    let server = Process::serve(&backend.url(), &["--shutdown-grace", "1ms"]);
    let mut users = UserServiceClient::new(server.channel().await);
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;
    server.signal("TERM");
    let (_, _, log) = server.wait();
    call.await.unwrap().unwrap_err();
    let [line] = &lines(&log)[..] else {
        panic!("{log}")
    };
    assert!(
        line.contains(r#"subject="uid=7" outcome="unknown""#),
        "{line}"
    );
}
