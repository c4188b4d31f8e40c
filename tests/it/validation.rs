//! The rules that a request must meet: both sides of each limit, every violation at
//! once, and nothing sent.

mod reasons;
mod table;

use mesibo_grpc::{
    proto::{
        CreateGroupRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest,
        DeleteUserTokenRequest, EditGroupMembersRequest, EditGroupRequest, EditUserRequest,
        ListGroupMembersRequest, ListUsersRequest, MemberPermissions, RegenerateUserTokenRequest,
        SendMessageRequest, edit_group_members_request::Action, send_message_request::Recipient,
    },
    status::Rule,
};
use prost_types::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Answer, Backend, EVERYTHING, Facade, telling, told};

/// A facade, and the backend that should hear nothing of a broken rule.
struct Bench {
    backend: Backend,
    facade: Facade,
}

impl Bench {
    fn new() -> Self {
        let backend = Backend::always(Answer::ok(EVERYTHING));
        let facade = Facade::new(&backend.url());
        Self { backend, facade }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let requests = self.backend.requests();
        assert!(
            requests.is_empty() || std::thread::panicking(),
            "{requests:?}"
        );
    }
}

/// The fields of all violations, in order; each says what is allowed.
fn fields<T: std::fmt::Debug>(op: &str, result: Result<T, Status>) -> Vec<String> {
    let status = result.unwrap_err();
    assert_eq!(
        told(&status),
        telling(
            Code::InvalidArgument,
            "mesibo-grpc",
            "INVALID_REQUEST",
            &[("op", op)]
        )
    );
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert!(
        status.message().starts_with(&violations[0].field),
        "{status:?}"
    );
    for violation in violations {
        let allowed = &violation.description;
        let says = ["must", "may be set only"]
            .iter()
            .any(|says| allowed.contains(says));
        assert!(says, "{allowed}");
        assert!(is_reason(&violation.reason), "{violation:?}");
    }
    violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

/// Whether a reason is one that the documentation lists.
fn is_reason(reason: &str) -> bool {
    Rule::ALL.iter().any(|rule| rule.as_str() == reason)
}

fn user(address: &str) -> CreateUserRequest {
    CreateUserRequest {
        address: address.into(),
        app_id: "demo".into(),
        ..Default::default()
    }
}

fn message(recipient: Recipient) -> SendMessageRequest {
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(recipient),
        message: "hi".into(),
        ..Default::default()
    }
}

fn to(addresses: &str) -> SendMessageRequest {
    message(Recipient::ToAddress(addresses.into()))
}

fn members(members: &[&str]) -> EditGroupMembersRequest {
    EditGroupMembersRequest {
        gid: 9,
        members: members.iter().map(ToString::to_string).collect(),
        action: Action::Add.into(),
        permissions: None,
    }
}

/// So many different addresses.
fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("user{i}")).collect()
}

fn duration(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

/// Addresses that break a rule, but for the comma, which only some fields forbid.
fn bad_texts() -> Vec<String> {
    let mut texts: Vec<String> = ["", " ", " a", "a ", "a\u{2003}", "a\nb", "a\0", "\u{85}"]
        .map(Into::into)
        .into();
    texts.push("a".repeat(1_025));
    texts.push("é".repeat(513));
    texts
}

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let bench = Bench::new();
    let request = CreateUserRequest {
        token_expiry: Some(duration(90, 0)),
        ..Default::default()
    };
    let result = bench.facade.users().create_user(request).await;
    assert_eq!(
        fields("useradd", result),
        ["address", "app_id", "token_expiry"]
    );

    let request = EditGroupMembersRequest {
        gid: 0,
        members: ["alice", "bob ", "alice", ""].map(Into::into).into(),
        action: 7,
        permissions: None,
    };
    let result = bench.facade.groups().edit_group_members(request).await;
    assert_eq!(
        fields("groupeditmembers", result),
        ["gid", "members[1]", "members[2]", "members[3]", "action"]
    );

    let request = SendMessageRequest {
        from_address: "a,b".into(),
        expiry: Some(duration(0, 1)),
        ..Default::default()
    };
    let result = bench.facade.messages().send_message(request).await;
    assert_eq!(
        fields("message", result),
        ["from_address", "recipient", "expiry", "message"]
    );
}

#[tokio::test]
async fn a_thousand_violations_fit_into_the_answer() {
    let bench = Bench::new();
    let result = bench
        .facade
        .groups()
        .edit_group_members(members(&["a b "; 1_000]))
        .await;
    let status = result.unwrap_err();
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let last = &violations.last().unwrap().description;
    assert_eq!(
        *last,
        format!("and {} more violations", 2_000 - violations.len())
    );
    // Short ones take the most besides their texts; base64 adds a third.
    for member in ["", "a b ", &"a".repeat(1_025)] {
        let request = members(&[member; 1_000]);
        let result = bench.facade.groups().edit_group_members(request).await;
        let status = result.unwrap_err();
        let bytes = status.details().len();
        assert!(bytes < 5_500, "{bytes}");
    }
}

#[tokio::test]
async fn addresses_and_app_ids_are_plain_texts() {
    let bench = Bench::new();
    for bad in bad_texts() {
        let request = CreateUserRequest {
            app_id: bad.clone(),
            ..user(&bad)
        };
        let result = bench.facade.users().create_user(request).await;
        assert_eq!(fields("useradd", result), ["address", "app_id"], "{bad:?}");

        let request = RegenerateUserTokenRequest {
            uid: 7,
            app_id: bad.clone(),
            ..RegenerateUserTokenRequest::default()
        };
        let result = bench.facade.users().regenerate_user_token(request).await;
        assert_eq!(fields("usertoken", result), ["app_id"], "{bad:?}");

        let request = DeleteUserTokenRequest {
            uid: 7,
            app_id: Some(bad.clone()),
            ..DeleteUserTokenRequest::default()
        };
        let result = bench.facade.users().delete_user_token(request).await;
        assert_eq!(fields("usertoken", result), ["app_id"], "{bad:?}");

        let request = ListUsersRequest {
            address_pattern: Some(bad.clone()),
            count: None,
        };
        let result = bench.facade.users().list_users(request).await;
        assert_eq!(fields("usersget", result), ["address_pattern"], "{bad:?}");

        let request = members(&["alice", &bad]);
        let result = bench.facade.groups().edit_group_members(request).await;
        assert_eq!(
            fields("groupeditmembers", result),
            ["members[1]"],
            "{bad:?}"
        );

        let request = CreateGroupRequest {
            members: vec![bad.clone()],
            ..Default::default()
        };
        let result = bench.facade.groups().create_group(request).await;
        assert_eq!(fields("groupadd", result), ["members[0]"], "{bad:?}");

        let request = SendMessageRequest {
            from_address: bad.clone(),
            ..to(&bad)
        };
        let result = bench.facade.messages().send_message(request).await;
        assert_eq!(
            fields("message", result),
            ["from_address", "to_address"],
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn a_comma_would_make_two_addresses_of_one() {
    let bench = Bench::new();
    let result = bench.facade.users().create_user(user("a,b")).await;
    assert_eq!(fields("useradd", result), ["address"]);
    let request = members(&["a,b"]);
    let result = bench.facade.groups().edit_group_members(request).await;
    assert_eq!(fields("groupeditmembers", result), ["members[0]"]);
    for (addresses, violations) in [
        ("a,", 1),
        (",a", 1),
        ("a,,b", 1),
        ("a, b", 1),
        ("a ,b", 1),
        ("a,b,a", 1),
        (",", 3),
    ] {
        let result = bench.facade.messages().send_message(to(addresses)).await;
        let fields = fields("message", result);
        assert_eq!(fields, vec!["to_address"; violations], "{addresses}");
    }
}

#[tokio::test]
async fn ids_are_not_zero() {
    let bench = Bench::new();
    let mut users = bench.facade.users();
    let mut groups = bench.facade.groups();
    let edit = EditUserRequest {
        uid: 0,
        flags: Some(1),
        active: None,
        ..EditUserRequest::default()
    };
    assert_eq!(fields("userset", users.edit_user(edit).await), ["uid"]);
    let delete = DeleteUserRequest {
        uid: 0,
        ..DeleteUserRequest::default()
    };
    assert_eq!(fields("userdel", users.delete_user(delete).await), ["uid"]);
    let delete = DeleteUserTokenRequest::default();
    let result = users.delete_user_token(delete).await;
    assert_eq!(fields("usertoken", result), ["uid"]);
    let regenerate = RegenerateUserTokenRequest {
        uid: 0,
        app_id: "demo".into(),
        ..RegenerateUserTokenRequest::default()
    };
    let result = users.regenerate_user_token(regenerate).await;
    assert_eq!(fields("usertoken", result), ["uid"]);
    let edit = EditGroupRequest {
        active: Some(true),
        ..Default::default()
    };
    assert_eq!(fields("groupset", groups.edit_group(edit).await), ["gid"]);
    let delete = DeleteGroupRequest { gid: 0 };
    assert_eq!(
        fields("groupdel", groups.delete_group(delete).await),
        ["gid"]
    );
    let list = ListGroupMembersRequest::default();
    let result = groups.list_group_members(list).await;
    assert_eq!(fields("groupgetmembers", result), ["gid"]);
    let request = message(Recipient::Gid(0));
    let result = bench.facade.messages().send_message(request).await;
    assert_eq!(fields("message", result), ["gid"]);
}

#[tokio::test]
async fn an_edit_changes_something() {
    let bench = Bench::new();
    let request = EditUserRequest {
        uid: 7,
        ..Default::default()
    };
    let result = bench.facade.users().edit_user(request).await;
    assert_eq!(fields("userset", result), ["flags", "active"]);
    let request = EditGroupRequest {
        gid: 9,
        ..Default::default()
    };
    let result = bench.facade.groups().edit_group(request).await;
    assert_eq!(
        fields("groupset", result),
        ["name", "flags", "expiry", "expiry_extension", "active"]
    );
}

#[tokio::test]
async fn member_edits_say_who_and_what() {
    let bench = Bench::new();
    let mut groups = bench.facade.groups();
    let result = groups.edit_group_members(members(&[])).await;
    assert_eq!(fields("groupeditmembers", result), ["members"]);
    for action in [0, 3, -1] {
        let request = EditGroupMembersRequest {
            action,
            ..members(&["alice"])
        };
        let result = groups.edit_group_members(request).await;
        assert_eq!(fields("groupeditmembers", result), ["action"], "{action}");
    }
    let request = EditGroupMembersRequest {
        action: Action::Remove.into(),
        permissions: Some(MemberPermissions::default()),
        ..members(&["alice"])
    };
    let result = groups.edit_group_members(request).await;
    assert_eq!(fields("groupeditmembers", result), ["permissions"]);
}

#[tokio::test]
async fn counts_are_from_1_to_20() {
    let bench = Bench::new();
    for count in [0, 21, u32::MAX] {
        let request = ListUsersRequest {
            address_pattern: None,
            count: Some(count),
        };
        let result = bench.facade.users().list_users(request).await;
        assert_eq!(fields("usersget", result), ["count"]);
        let request = ListGroupMembersRequest {
            gid: 9,
            count: Some(count),
        };
        let result = bench.facade.groups().list_group_members(request).await;
        assert_eq!(fields("groupgetmembers", result), ["count"]);
    }
}

#[tokio::test]
async fn durations_are_positive_and_whole_in_their_unit() {
    let bench = Bench::new();
    for (seconds, nanos) in [
        (0, 0),
        (-1, 0),
        (1, 1),
        (0, 999_999_999),
        (1, -1),
        (i64::MAX, 0),
        (i64::MIN, i32::MIN),
        (315_576_000_001, 0),
    ] {
        let expiry = Some(duration(seconds, nanos));
        let request = CreateGroupRequest {
            expiry,
            expiry_extension: expiry,
            ..Default::default()
        };
        let result = bench.facade.groups().create_group(request).await;
        assert_eq!(fields("groupadd", result), ["expiry", "expiry_extension"]);
        let request = EditGroupRequest {
            gid: 9,
            expiry,
            expiry_extension: expiry,
            ..Default::default()
        };
        let result = bench.facade.groups().edit_group(request).await;
        assert_eq!(fields("groupset", result), ["expiry", "expiry_extension"]);
        let request = SendMessageRequest {
            expiry,
            ..to("bob")
        };
        let result = bench.facade.messages().send_message(request).await;
        assert_eq!(fields("message", result), ["expiry"]);
    }
    for (seconds, nanos) in [(0, 0), (59, 0), (61, 0), (90, 0), (60, 1), (-60, 0)] {
        let request = CreateUserRequest {
            token_expiry: Some(duration(seconds, nanos)),
            ..user("alice")
        };
        let result = bench.facade.users().create_user(request).await;
        assert_eq!(fields("useradd", result), ["token_expiry"], "{seconds}");
    }
}

#[tokio::test]
async fn messages_have_from_one_byte_to_a_mebibyte() {
    let bench = Bench::new();
    for text in [
        String::new(),
        "x".repeat((1 << 20) + 1),
        "é".repeat((1 << 19) + 1),
    ] {
        let request = SendMessageRequest {
            message: text,
            ..to("bob")
        };
        let result = bench.facade.messages().send_message(request).await;
        assert_eq!(fields("message", result), ["message"]);
    }
}

#[tokio::test]
async fn what_is_just_within_the_rules_is_sent() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let longest = "é".repeat(512);
    let text = "x".repeat(1 << 20);
    let others = addresses(1_000);

    let request = CreateUserRequest {
        app_id: format!("{},", "a".repeat(1_023)),
        token_expiry: Some(duration(60, 0)),
        ..user(&longest)
    };
    facade.users().create_user(request).await.unwrap();
    let request = CreateGroupRequest {
        expiry: Some(duration(1, 0)),
        expiry_extension: Some(duration(315_576_000_000, 0)),
        ..Default::default()
    };
    facade.groups().create_group(request).await.unwrap();
    let request = EditGroupMembersRequest {
        members: others.clone(),
        permissions: Some(MemberPermissions::default()),
        ..members(&[])
    };
    facade.groups().edit_group_members(request).await.unwrap();
    let request = SendMessageRequest {
        message: text.clone(),
        ..to(&others.join(","))
    };
    facade.messages().send_message(request).await.unwrap();
    for count in [1, 20] {
        let request = ListUsersRequest {
            address_pattern: Some("* *".into()),
            count: Some(count),
        };
        facade.users().list_users(request).await.unwrap();
    }

    let requests = backend.requests();
    assert_eq!(requests[0].get("addr"), Some(&*longest));
    assert_eq!(requests[0].get("expiry"), Some("1"));
    assert_eq!(requests[1].get("expiryext"), Some("315576000000"));
    assert_eq!(requests[2].get("m"), Some(&*others.join(",")));
    assert_eq!(requests[3].get("msg"), Some(&*text));
    assert_eq!(requests.len(), 6);
}
