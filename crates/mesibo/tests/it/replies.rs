//! Replies, in each form in which they come.

use mesibo::{
    operation::op,
    reply::{self, Done, FromReply, Members, NotDone, Sent, UserToken, Users},
};
use secrecy::ExposeSecret as _;

fn read<R: FromReply>(body: &str, op: &str) -> Result<R, NotDone> {
    reply::read(body.as_bytes(), op)
}

#[test]
fn a_success_comes_in_many_forms() {
    for body in [
        r#"{"op": "userdel", "result": true}"#,
        r#"{"result": "OK"}"#,
        r#"{"result": "ok", "op": null, "more": [1, {}]}"#,
        r#"{"result": 1, "op": "deluser"}"#,
        r#"{"result": "1"}"#,
        r#"{"result": "true"}"#,
        r#"{"result": true, "error": ""}"#,
        r#"{"result": false, "result": true}"#,
        "OK",
        "\r\n Ok \n",
        "\u{FEFF}{\"result\": true}\n",
        "\u{FEFF} OK",
    ] {
        assert!(read::<Done>(body, op::USER_DEL).is_ok(), "{body}");
    }
}

#[test]
fn a_refusal_comes_in_many_forms() {
    for (body, expected) in [
        (r#"{"result": false, "error": "EXISTS"}"#, Some("EXISTS")),
        (r#"{"result": "fail", "error": "EXISTS"}"#, Some("EXISTS")),
        (r#"{"result": 0, "error": 42}"#, Some("42")),
        (r#"{"result": "0", "error": null}"#, None),
        (r#"{"result": false, "error": {}}"#, None),
        (" fail\n", None),
    ] {
        let Err(NotDone::Refused(error)) = read::<Done>(body, op::USER_DEL) else {
            panic!("{body} is a refusal");
        };
        assert_eq!(error.as_deref(), expected, "{body}");
    }
    for body in [
        r#"{"error": "EXISTS"}"#,
        r#"{"error": "EXISTS", "result": "maybe"}"#,
    ] {
        let read = read::<Done>(body, op::USER_DEL);
        assert!(
            matches!(read, Err(NotDone::Error(error)) if error == "EXISTS"),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_reply_cannot_be_read() {
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "OKAY",
        "<html>",
        r#"{"result": true"#,
        r#"{"result": true} trailing"#,
        r#"{"result": 2}"#,
        r#"{"result": true, "op": "message"}"#,
    ] {
        let read = read::<Done>(body, op::USER_DEL);
        assert!(matches!(read, Err(NotDone::Unreadable(_))), "{body}");
    }
    let latin = reply::read::<Done>(b"{\"result\": true, \"name\": \"\xFC\"}", op::USER_DEL);
    assert!(matches!(latin, Err(NotDone::Unreadable(_))));
}

#[test]
fn ids_and_tokens_are_numbers_or_strings() {
    for (body, expected) in [
        (
            r#"{"user": {"uid": "5302", "token": "abc"}, "result": true}"#,
            (5302, "abc"),
        ),
        (
            r#"{"result": true, "user": {"uid": 18446744073709551615, "token": 77}}"#,
            (u64::MAX, "77"),
        ),
        (
            r#"{"result": true, "user": {"u\u0069d": 1, "token": "\u0061\/"}}"#,
            (1, "a/"),
        ),
        (
            r#"{"result": true, "user": {"uid": 1, "uid": 2, "token": "a"}}"#,
            (2, "a"),
        ),
    ] {
        let user = read::<UserToken>(body, op::USER_ADD).unwrap();
        assert_eq!((user.uid, user.token.expose_secret()), expected, "{body}");
        assert_eq!(user.id(), Some(user.uid));
    }
    for body in [
        "OK",
        r#"{"result": true}"#,
        r#"{"result": true, "user": [1]}"#,
        r#"{"result": true, "user": {"uid": 0, "token": "abc"}}"#,
        r#"{"result": true, "user": {"uid": 1, "token": ""}}"#,
    ] {
        let read = read::<UserToken>(body, op::USER_ADD);
        assert!(matches!(read, Err(NotDone::Unreadable(_))), "{body}");
    }
    for (body, expected) in [
        (r#"{"mid": "1387628", "result": true}"#, Some(1_387_628)),
        (r#"{"mid": "none", "result": true}"#, None),
        ("OK", None),
    ] {
        assert_eq!(
            read::<Sent>(body, op::MESSAGE).unwrap().mid,
            expected,
            "{body}"
        );
    }
}

#[test]
fn lists_are_arrays_or_maps_or_nothing() {
    for body in [
        r#"{"result": true, "users": [{"address": "a"}, {"address": "b", "more": {}}]}"#,
        r#"{"result": true, "users": {"10": {"address": "b"}, "9": {"address": "a"}}}"#,
    ] {
        let Users(users) = read(body, op::USERS_GET).unwrap();
        let addresses: Vec<_> = users.iter().map(|user| user.address.as_deref()).collect();
        assert_eq!(addresses, [Some("a"), Some("b")], "{body}");
    }
    for body in [
        "OK",
        r#"{"result": true, "users": {}}"#,
        r#"{"result": true, "users": null}"#,
    ] {
        assert!(
            read::<Users>(body, op::USERS_GET).unwrap().0.is_empty(),
            "{body}"
        );
    }
    for body in [
        r#"{"result": true, "users": "a,b"}"#,
        r#"{"result": true, "users": ["a"]}"#,
        r#"{"result": true, "users": {"alice": {}}}"#,
    ] {
        let read = read::<Users>(body, op::USERS_GET);
        assert!(matches!(read, Err(NotDone::Unreadable(_))), "{body}");
    }
    let body = r#"{"result": true, "members": ["bob", {"address": 919876543210, "cansend": "1"}]}"#;
    let Members(members) = read(body, op::GROUP_GET_MEMBERS).unwrap();
    assert_eq!(members[0].address.as_deref(), Some("bob"));
    assert_eq!(members[1].address.as_deref(), Some("919876543210"));
    assert_eq!(members[1].cansend, Some(true));
}
