//! What programs read of a broken rule, and where the rules stop looking.

use super::*;

/// The reasons of all violations, in order.
fn reasons<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let details = result.unwrap_err().get_error_details();
    let violations = details.bad_request().unwrap().field_violations.iter();
    violations.map(|it| it.reason.clone()).collect()
}

#[tokio::test]
async fn lists_have_at_most_a_thousand_entries() {
    let bench = Bench::new();
    for count in [1_001, 2_000, 20_000] {
        let list = addresses(count);
        let result = bench
            .facade
            .messages()
            .send_message(to(&list.join(",")))
            .await;
        assert_eq!(fields("message", result), ["to_address"]);
        if count > 10_000 {
            continue;
        }
        let request = EditGroupMembersRequest {
            members: list.clone(),
            ..members(&[])
        };
        let result = bench.facade.groups().edit_group_members(request).await;
        assert_eq!(fields("groupeditmembers", result), ["members"]);
        let request = CreateGroupRequest {
            members: list,
            ..Default::default()
        };
        let result = bench.facade.groups().create_group(request).await;
        assert_eq!(fields("groupadd", result), ["members"]);
    }
    // Twins are found as far as a list may go.
    let twins = [addresses(1_000), addresses(1)].concat();
    let request = EditGroupMembersRequest {
        members: twins.clone(),
        ..members(&[])
    };
    let result = bench.facade.groups().edit_group_members(request).await;
    assert_eq!(reasons(result), ["TOO_MANY"]);
    let result = bench
        .facade
        .messages()
        .send_message(to(&twins.join(",")))
        .await;
    assert_eq!(reasons(result), ["TOO_MANY"]);
}

#[tokio::test]
async fn a_message_of_more_fields_than_any_needs_is_not_read() {
    let bench = Bench::new();
    let request = CreateGroupRequest {
        members: vec![String::new(); 20_000],
        ..Default::default()
    };
    let result = bench.facade.groups().create_group(request).await;
    let status = result.unwrap_err();
    let expected = telling(Code::InvalidArgument, "mesibo-grpc", "INVALID_REQUEST", &[]);
    assert_eq!(told(&status), expected);
    let text = "the request has more than 10000 fields and entries of lists";
    assert_eq!(status.message(), text);
}

#[test]
fn the_document_lists_every_reason_and_no_other() {
    let document = include_str!("../../../docs/clients.md");
    let (_, table) = document.split_once("| reason | what is wrong").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let listed: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let reasons: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(listed, reasons);
}

#[tokio::test]
async fn every_rule_has_a_reason_that_a_program_can_read() {
    let bench = Bench::new();
    let mut users = bench.facade.users();
    let (mut groups, mut messages) = (bench.facade.groups(), bench.facade.messages());
    for (address, reason) in [
        ("", "REQUIRED"),
        (&*"a".repeat(1_025), "TOO_LONG"),
        ("a\nb", "CONTROL_CHARACTER"),
        (" a", "WHITE_SPACE"),
        ("a,b", "COMMA"),
    ] {
        assert_eq!(reasons(users.create_user(user(address)).await), [reason]);
        let result = groups.edit_group_members(members(&[address])).await;
        assert_eq!(reasons(result), [reason]);
    }
    assert_eq!(
        reasons(messages.send_message(to("a,a")).await),
        ["DUPLICATE"]
    );
    let delete = DeleteUserRequest {
        uid: 0,
        ..DeleteUserRequest::default()
    };
    assert_eq!(reasons(users.delete_user(delete).await), ["ZERO"]);
    let edit = EditUserRequest {
        uid: 7,
        ..Default::default()
    };
    let result = users.edit_user(edit).await;
    let status = result.unwrap_err();
    // One rule, though it is about two fields.
    assert_eq!(
        status.message(),
        "flags: at least one must be set of flags, active"
    );
    assert_eq!(reasons::<()>(Err(status)), ["AT_LEAST_ONE"; 2]);
    for (expiry, reason) in [
        (duration(0, 0), "OUT_OF_RANGE"),
        (duration(1, 1), "NOT_WHOLE"),
    ] {
        let request = SendMessageRequest {
            expiry: Some(expiry),
            ..to("bob")
        };
        assert_eq!(reasons(messages.send_message(request).await), [reason]);
    }
    let request = SendMessageRequest {
        request_id: Some("1".into()),
        recipient: None,
        message: String::new(),
        ..to("")
    };
    let status = messages.send_message(request).await.unwrap_err();
    assert_eq!(
        status.message(),
        "recipient: must be to_address or gid; message: must have from 1 to 1048576 bytes; \
         request_id: must be a UUID, such as 6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e, and not \
         all zeros"
    );
    assert_eq!(
        reasons::<()>(Err(status)),
        ["REQUIRED", "REQUIRED", "NOT_UUID"]
    );
    for (action, permissions, reason) in [
        (0, None, "REQUIRED"),
        (9, None, "UNKNOWN_VALUE"),
        (
            Action::Remove.into(),
            Some(MemberPermissions::default()),
            "CONFLICT",
        ),
    ] {
        let request = EditGroupMembersRequest {
            action,
            permissions,
            ..members(&["a"])
        };
        assert_eq!(reasons(groups.edit_group_members(request).await), [reason]);
    }
}
