//! What the facade makes of Mesibo's replies, in each form in which they come.

use mesibo_grpc::proto::{
    CreateGroupRequest, CreateUserRequest, DeleteUserRequest, EditGroupRequest, GroupMember,
    ListGroupMembersRequest, ListUsersRequest, RegenerateUserTokenRequest, SendMessageRequest,
    User, send_message_request::Recipient,
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::support::{Answer, Backend, Facade, told};

async fn create_user(reply: &str) -> Result<(u64, String), Status> {
    let backend = Backend::always(Answer::ok(reply));
    let request = CreateUserRequest {
        address: "alice".into(),
        app_id: "demo".into(),
        ..Default::default()
    };
    let response = Facade::new(&backend.url())
        .users()
        .create_user(request)
        .await?;
    let response = response.into_inner();
    Ok((response.uid, response.access_token))
}

async fn delete_user(reply: &str) -> Result<(), Status> {
    let backend = Backend::always(Answer::ok(reply));
    let request = DeleteUserRequest {
        uid: 7,
        ..DeleteUserRequest::default()
    };
    Facade::new(&backend.url())
        .users()
        .delete_user(request)
        .await?;
    Ok(())
}

async fn list_users(reply: &str) -> Result<Vec<User>, Status> {
    let backend = Backend::always(Answer::ok(reply));
    let request = ListUsersRequest::default();
    let response = Facade::new(&backend.url())
        .users()
        .list_users(request)
        .await?;
    Ok(response.into_inner().users)
}

async fn list_members(reply: &str) -> Result<Vec<GroupMember>, Status> {
    let backend = Backend::always(Answer::ok(reply));
    let request = ListGroupMembersRequest {
        gid: 9,
        count: None,
    };
    let response = Facade::new(&backend.url())
        .groups()
        .list_group_members(request)
        .await?;
    Ok(response.into_inner().members)
}

async fn send_message(reply: &str) -> Result<Option<u64>, Status> {
    let backend = Backend::always(Answer::ok(reply));
    let request = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: "hi".into(),
        ..Default::default()
    };
    let response = Facade::new(&backend.url())
        .messages()
        .send_message(request)
        .await?;
    Ok(response.into_inner().message_id)
}

#[tokio::test]
async fn a_yes_comes_in_many_forms() {
    for reply in [
        r#"{"op": "userdel", "result": true}"#,
        r#"{"result": "OK"}"#,
        r#"{"result": "ok", "op": null, "more": [1, {}]}"#,
        r#"{"result": 1}"#,
        r#"{"result": "1"}"#,
        r#"{"result": "true"}"#,
        r#"{"result": true, "error": ""}"#,
        "OK",
        "ok",
        "\r\n Ok \n",
        "\u{FEFF}{\"result\": true}\n",
        "\u{FEFF} OK",
    ] {
        assert!(delete_user(reply).await.is_ok(), "{reply}");
    }
}

#[tokio::test]
async fn a_no_comes_in_many_forms() {
    for (reply, reason) in [
        (r#"{"result": false, "error": "EXISTS"}"#, "EXISTS"),
        (r#"{"result": "FAIL", "error": "EXISTS"}"#, "EXISTS"),
        (r#"{"result": "fail", "error": "EXISTS"}"#, "EXISTS"),
        (r#"{"result": 0, "error": "EXISTS"}"#, "EXISTS"),
        (r#"{"result": "0", "error": "EXISTS"}"#, "EXISTS"),
        (r#"{"error": "EXISTS"}"#, "EXISTS"),
        (r#"{"error": "EXISTS", "result": null}"#, "EXISTS"),
        (r#"{"error": 42, "result": false}"#, "42"),
        (r#"{"result": false}"#, "NO_ERROR_CODE"),
        (r#"{"result": false, "error": null}"#, "NO_ERROR_CODE"),
        (r#"{"result": false, "error": ""}"#, "NO_ERROR_CODE"),
        ("FAIL", "NO_ERROR_CODE"),
        (" fail\n", "NO_ERROR_CODE"),
    ] {
        let status = delete_user(reply).await.unwrap_err();
        let (_, domain, told, _) = told(&status);
        assert_eq!((&*domain, &*told), ("mesibo.com", reason), "{reply}");
    }
}

#[tokio::test]
async fn what_is_no_reply_is_malformed() {
    for reply in [
        "",
        "{}",
        "null",
        "[]",
        "true",
        "OKAY",
        "<html>",
        r#"{"result": true"#,
        r#"{"result": true} trailing"#,
        r#"{"result": "maybe"}"#,
        r#"{"result": 2}"#,
        r#"{"op": "userdel"}"#,
    ] {
        let status = delete_user(reply).await.unwrap_err();
        let (code, domain, reason, _) = told(&status);
        assert_eq!(
            (code, &*domain, &*reason),
            (Code::Internal, "mesibo-grpc", "MALFORMED_REPLY"),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn ids_come_as_numbers_or_as_strings() {
    for reply in [
        r#"{"user": {"uid": "5302", "token": "abc"}, "result": true}"#,
        r#"{"user": {"uid": 5302, "token": "abc", "appid": null}, "result": true}"#,
    ] {
        assert_eq!(create_user(reply).await.unwrap(), (5302, "abc".into()));
    }
    let reply = r#"{"user": {"uid": "18446744073709551615", "token": 77}, "result": true}"#;
    assert_eq!(create_user(reply).await.unwrap(), (u64::MAX, "77".into()));
}

#[tokio::test]
async fn a_reply_without_what_the_rpc_promises_is_malformed() {
    for reply in [
        "OK",
        r#"{"result": true}"#,
        r#"{"result": true, "user": null}"#,
        r#"{"result": true, "user": "5302"}"#,
        r#"{"result": true, "user": {"uid": 5302}}"#,
        r#"{"result": true, "user": {"token": "abc"}}"#,
        r#"{"result": true, "user": {"uid": 0, "token": "abc"}}"#,
        r#"{"result": true, "user": {"uid": -1, "token": "abc"}}"#,
        r#"{"result": true, "user": {"uid": 1, "token": ""}}"#,
    ] {
        let status = create_user(reply).await.unwrap_err();
        assert_eq!(told(&status).2, "MALFORMED_REPLY", "{reply}");
    }
}

#[tokio::test]
async fn a_new_token_is_read_as_a_new_user_is() {
    let reply = r#"{"user": {"uid": 5302, "appid": "demo", "token": "abc"}, "result": true}"#;
    let backend = Backend::always(Answer::ok(reply));
    let request = RegenerateUserTokenRequest {
        uid: 5302,
        app_id: "demo".into(),
        ..RegenerateUserTokenRequest::default()
    };
    let response = Facade::new(&backend.url())
        .users()
        .regenerate_user_token(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((response.uid, &*response.access_token), (5302, "abc"));
}

#[tokio::test]
async fn groups_have_ids() {
    let backend = Backend::always(Answer::ok(
        r#"{"group": {"gid": "102529"}, "result": true}"#,
    ));
    let facade = Facade::new(&backend.url());
    let created = facade
        .groups()
        .create_group(CreateGroupRequest::default())
        .await;
    assert_eq!(created.unwrap().into_inner().gid, 102_529);

    let backend = Backend::always(Answer::ok(r#"{"group": {"gid": 102529}, "result": "OK"}"#));
    let facade = Facade::new(&backend.url());
    let edited = facade
        .groups()
        .edit_group(EditGroupRequest {
            gid: 102_529,
            active: Some(true),
            ..Default::default()
        })
        .await;
    assert_eq!(edited.unwrap().into_inner().gid, 102_529);

    let backend = Backend::always(Answer::ok("OK"));
    let facade = Facade::new(&backend.url());
    let lacking = facade
        .groups()
        .create_group(CreateGroupRequest::default())
        .await;
    assert_eq!(told(&lacking.unwrap_err()).2, "MALFORMED_REPLY");
}

#[tokio::test]
async fn a_message_may_have_an_id() {
    for (reply, id) in [
        (
            r#"{"op": "message", "mid": 1387628, "result": true}"#,
            Some(1_387_628),
        ),
        (r#"{"mid": "1387628", "result": true}"#, Some(1_387_628)),
        (r#"{"mid": null, "result": true}"#, None),
        (r#"{"mid": "none", "result": true}"#, None),
        (r#"{"result": true}"#, None),
        ("OK", None),
    ] {
        assert_eq!(send_message(reply).await.unwrap(), id, "{reply}");
    }
}

#[tokio::test]
async fn a_list_may_be_an_array_or_a_map_and_empty_in_many_forms() {
    let addresses = async |reply| {
        let users = list_users(reply).await.unwrap();
        users
            .into_iter()
            .map(|user| user.address.unwrap())
            .collect::<Vec<_>>()
    };
    for reply in [
        r#"{"result": true, "users": [{"address": "a"}, {"address": "b"}]}"#,
        r#"{"result": true, "users": {"0": {"address": "a"}, "1": {"address": "b"}}}"#,
        r#"{"result": true, "users": {"10": {"address": "b"}, "9": {"address": "a"}}}"#,
    ] {
        assert_eq!(addresses(reply).await, ["a", "b"], "{reply}");
    }
    for reply in [
        r#"{"result": true, "users": []}"#,
        r#"{"result": true, "users": {}}"#,
        r#"{"result": true, "users": null}"#,
        r#"{"result": true}"#,
        "OK",
    ] {
        assert!(addresses(reply).await.is_empty(), "{reply}");
    }
    for reply in [
        r#"{"result": true, "users": "a,b"}"#,
        r#"{"result": true, "users": 7}"#,
        r#"{"result": true, "users": ["a"]}"#,
        r#"{"result": true, "users": {"alice": {}}}"#,
    ] {
        let status = list_users(reply).await.unwrap_err();
        assert_eq!(told(&status).2, "MALFORMED_REPLY", "{reply}");
    }
}

#[tokio::test]
async fn a_listed_user_has_what_the_reply_has_of_it() {
    let full = User {
        uid: Some(5302),
        address: Some("alice".into()),
        active: Some(true),
        flags: Some(3),
        online: Some(false),
        last_online: Some(Timestamp {
            seconds: 1_598_999_925,
            nanos: 0,
        }),
        pinned: Some(true),
        app_id: Some("demo".into()),
        access_token: Some("abc".into()),
        ip_address: Some("192.0.2.1".into()),
        name: Some("Alice".into()),
    };
    for reply in [
        r#"{"result": true, "users": [{"uid": "5302", "address": "alice", "active": "1",
            "flag": "3", "online": 0, "lastonline": "2020-09-01 22:38:45", "pinned": true,
            "appid": "demo", "token": "abc", "ipaddr": "192.0.2.1", "name": "Alice",
            "more": {}}]}"#,
        r#"{"result": true, "users": [{"uid": 5302, "address": "alice", "active": true,
            "flag": 3, "online": "0", "lastonline": 1598999925, "pinned": 1,
            "appid": "demo", "token": "abc", "ipaddr": "192.0.2.1",
            "name": "Alice"}]}"#,
    ] {
        assert_eq!(
            list_users(reply).await.unwrap(),
            std::slice::from_ref(&full),
            "{reply}"
        );
    }
    // Nothing is promised, so what cannot be read is left out.
    for reply in [
        r#"{"result": true, "users": [{}]}"#,
        r#"{"result": true, "users": [{"uid": null, "address": [], "active": "often",
            "flag": -1, "online": 2, "lastonline": "never", "pinned": {}, "appid": false}]}"#,
    ] {
        assert_eq!(list_users(reply).await.unwrap(), [User::default()]);
    }
}

#[tokio::test]
async fn a_member_is_an_object_or_a_bare_address() {
    let reply = r#"{"result": true, "members": [
        {"address": "alice", "uid": "5302", "cansend": "1", "canrecv": 0},
        {"address": 919876543210},
        "bob"]}"#;
    let expected = [
        GroupMember {
            address: Some("alice".into()),
            uid: Some(5302),
            can_send: Some(true),
            can_receive: Some(false),
        },
        GroupMember {
            address: Some("919876543210".into()),
            ..Default::default()
        },
        GroupMember {
            address: Some("bob".into()),
            ..Default::default()
        },
    ];
    assert_eq!(list_members(reply).await.unwrap(), expected);
    let status = list_members(r#"{"result": true, "members": [[]]}"#).await;
    assert_eq!(told(&status.unwrap_err()).2, "MALFORMED_REPLY");
}
