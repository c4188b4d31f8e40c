//! What the facade sends for each RPC: the whole request, and only one.

use mesibo_grpc::proto::{
    CreateGroupRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest,
    DeleteUserTokenRequest, EditGroupMembersRequest, EditGroupRequest, EditUserRequest,
    ListGroupMembersRequest, ListUsersRequest, MemberPermissions, RegenerateUserTokenRequest,
    SendMessageRequest, edit_group_members_request::Action, send_message_request::Recipient,
};
use prost_types::Duration;

use crate::support::{Answer, Backend, EVERYTHING, Facade, TOKEN};

/// What the facade keeps to itself.
const REQUEST_ID: &str = "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e";

/// Calls an RPC and checks the one request that comes of it: `$service.$rpc(…)`
/// sends these pairs, besides the token.
macro_rules! sends {
    ($service:ident.$rpc:ident($request:expr), $pairs:expr) => {
        let backend = Backend::always(Answer::ok(EVERYTHING));
        let facade = Facade::new(&backend.url());
        facade.$service().$rpc($request).await.unwrap();
        assert_sent(&backend, &$pairs);
    };
}

fn assert_sent(backend: &Backend, pairs: &[(&str, &str)]) {
    let request = backend.only_request();
    let mut expected: Vec<_> = pairs
        .iter()
        .chain(&[("token", TOKEN)])
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(request.form, expected);
    assert_eq!(request.line, "POST /api.php HTTP/1.1");
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(request.header("content-length").is_some());
    let agent = concat!("mesibo-grpc/", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(agent));
    let elsewhere = format!("{:?}", request.headers);
    assert!(!elsewhere.contains(TOKEN), "{elsewhere}");
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

#[tokio::test]
async fn create_user() {
    sends!(
        users.create_user(CreateUserRequest {
            address: "alice".into(),
            app_id: "demo".into(),
            ..Default::default()
        }),
        [("op", "useradd"), ("addr", "alice"), ("appid", "demo")]
    );
    sends!(
        users.create_user(CreateUserRequest {
            address: "alice+1@example.com".into(),
            app_id: "com.example".into(),
            token_expiry: Some(seconds(120)),
            active: Some(false),
            max_groups: Some(0),
            name: Some("Älice & Bob=100%".into()),
        }),
        [
            ("op", "useradd"),
            ("addr", "alice+1@example.com"),
            ("appid", "com.example"),
            ("expiry", "2"),
            ("active", "0"),
            ("groups", "0"),
            ("name", "Älice & Bob=100%"),
        ]
    );
}

#[tokio::test]
async fn edit_user() {
    sends!(
        users.edit_user(EditUserRequest {
            uid: 7,
            flags: Some(0),
            active: None,
            ..EditUserRequest::default()
        }),
        [("op", "userset"), ("uid", "7"), ("flag", "0")]
    );
    sends!(
        users.edit_user(EditUserRequest {
            uid: u64::MAX,
            flags: Some(u32::MAX),
            active: Some(false),
            ..EditUserRequest::default()
        }),
        [
            ("op", "userset"),
            ("uid", "18446744073709551615"),
            ("flag", "4294967295"),
            ("active", "0"),
        ]
    );
}

#[tokio::test]
async fn delete_user() {
    sends!(
        users.delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        }),
        [("op", "userdel"), ("uid", "7")]
    );
}

#[tokio::test]
async fn delete_user_token() {
    sends!(
        users.delete_user_token(DeleteUserTokenRequest {
            uid: 7,
            app_id: None,
            ..DeleteUserTokenRequest::default()
        }),
        [("op", "usertoken"), ("uid", "7"), ("delete", "1")]
    );
    sends!(
        users.delete_user_token(DeleteUserTokenRequest {
            uid: 7,
            app_id: Some("demo".into()),
            ..DeleteUserTokenRequest::default()
        }),
        [
            ("op", "usertoken"),
            ("uid", "7"),
            ("appid", "demo"),
            ("delete", "1"),
        ]
    );
}

#[tokio::test]
async fn delete_user_token_as_printed_in_the_documentation() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::with(&backend.url(), &[("delete-user-token-op", "userdel")]);
    facade
        .users()
        .delete_user_token(DeleteUserTokenRequest {
            uid: 7,
            app_id: Some("demo".into()),
            ..DeleteUserTokenRequest::default()
        })
        .await
        .unwrap();
    assert_sent(&backend, &[("op", "userdel"), ("uid", "7")]);
}

#[tokio::test]
async fn regenerate_user_token() {
    sends!(
        users.regenerate_user_token(RegenerateUserTokenRequest {
            uid: 7,
            app_id: "demo".into(),
            ..RegenerateUserTokenRequest::default()
        }),
        [("op", "usertoken"), ("uid", "7"), ("appid", "demo")]
    );
}

#[tokio::test]
async fn list_users() {
    sends!(
        users.list_users(ListUsersRequest::default()),
        [("op", "usersget")]
    );
    sends!(
        users.list_users(ListUsersRequest {
            address_pattern: Some("*@example.com".into()),
            count: Some(20),
        }),
        [
            ("op", "usersget"),
            ("addr", "*@example.com"),
            ("count", "20"),
        ]
    );
}

#[tokio::test]
async fn create_group() {
    sends!(
        groups.create_group(CreateGroupRequest::default()),
        [("op", "groupadd")]
    );
    sends!(
        groups.create_group(CreateGroupRequest {
            name: Some(String::new()),
            flags: Some(0x10),
            expiry: Some(seconds(90)),
            expiry_extension: Some(seconds(1)),
            active: Some(true),
            members: vec!["alice".into(), "bob".into()],
            request_id: Some(REQUEST_ID.into()),
        }),
        [
            ("op", "groupadd"),
            ("name", ""),
            ("flag", "16"),
            ("expiry", "90"),
            ("expiryext", "1"),
            ("active", "1"),
            ("m", "alice,bob"),
        ]
    );
}

#[tokio::test]
async fn edit_group() {
    sends!(
        groups.edit_group(EditGroupRequest {
            gid: 9,
            active: Some(false),
            ..Default::default()
        }),
        [("op", "groupset"), ("gid", "9"), ("active", "0")]
    );
    sends!(
        groups.edit_group(EditGroupRequest {
            gid: 9,
            name: Some("team".into()),
            flags: Some(0),
            expiry: Some(seconds(3600)),
            expiry_extension: Some(seconds(60)),
            active: Some(true),
        }),
        [
            ("op", "groupset"),
            ("gid", "9"),
            ("name", "team"),
            ("flag", "0"),
            ("expiry", "3600"),
            ("expiryext", "60"),
            ("active", "1"),
        ]
    );
}

#[tokio::test]
async fn delete_group() {
    sends!(
        groups.delete_group(DeleteGroupRequest { gid: 9 }),
        [("op", "groupdel"), ("gid", "9")]
    );
}

#[tokio::test]
async fn edit_group_members() {
    sends!(
        groups.edit_group_members(EditGroupMembersRequest {
            gid: 9,
            members: vec!["alice".into()],
            action: Action::Remove.into(),
            permissions: None,
        }),
        [
            ("op", "groupeditmembers"),
            ("gid", "9"),
            ("m", "alice"),
            ("delete", "1"),
        ]
    );
    sends!(
        groups.edit_group_members(EditGroupMembersRequest {
            gid: 9,
            members: vec!["alice".into(), "bob smith".into()],
            action: Action::Add.into(),
            permissions: Some(MemberPermissions {
                can_send: Some(true),
                can_receive: Some(false),
                can_publish: Some(true),
                can_subscribe: Some(false),
                can_list: Some(true),
            }),
        }),
        [
            ("op", "groupeditmembers"),
            ("gid", "9"),
            ("m", "alice,bob smith"),
            ("delete", "0"),
            ("cs", "1"),
            ("cr", "0"),
            ("canpub", "1"),
            ("cansub", "0"),
            ("canlist", "1"),
        ]
    );
}

#[tokio::test]
async fn list_group_members() {
    sends!(
        groups.list_group_members(ListGroupMembersRequest {
            gid: 9,
            count: None,
        }),
        [("op", "groupgetmembers"), ("gid", "9")]
    );
    sends!(
        groups.list_group_members(ListGroupMembersRequest {
            gid: 9,
            count: Some(1),
        }),
        [("op", "groupgetmembers"), ("gid", "9"), ("count", "1")]
    );
}

#[tokio::test]
async fn send_message() {
    sends!(
        messages.send_message(SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::Gid(9)),
            message: "hi".into(),
            ..Default::default()
        }),
        [
            ("op", "message"),
            ("from", "alice"),
            ("gid", "9"),
            ("msg", "hi"),
        ]
    );
    sends!(
        messages.send_message(SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::ToAddress("bob,carol".into())),
            message_type: Some(0),
            expiry: Some(seconds(1)),
            message: "a=1&b=2;\r\n100% + \u{1F600} \u{5E9}\u{5DC}\u{5D5}\u{5DD}\0".into(),
            request_id: Some(REQUEST_ID.into()),
        }),
        [
            ("op", "message"),
            ("from", "alice"),
            ("to", "bob,carol"),
            ("type", "0"),
            ("expiry", "1"),
            (
                "msg",
                "a=1&b=2;\r\n100% + \u{1F600} \u{5E9}\u{5DC}\u{5D5}\u{5DD}\0"
            ),
        ]
    );
}
