//! What is sent, and what comes of it.

use mesibo::{
    Failure, Operation,
    operation::{GroupOptions, Message, Permissions, Recipient, UserAdd, op},
};

use crate::support::{Answer, Backend, Recorder, later};

#[tokio::test]
async fn an_operation_is_posted_as_a_form_and_its_reply_is_read() {
    let backend =
        Backend::new(|_| Answer::reply(r#"{"op": "message", "mid": "77", "result": true}"#)).await;
    let observer = Recorder::default();
    let client = backend.client_with(observer.clone(), |config| {
        config.user_agent = "test/1".into();
    });
    let message = Operation::message(&Message {
        from: "alice",
        recipient: Recipient::To("bob,carol"),
        kind: None,
        expiry_seconds: Some(60),
        msg: "a & b",
    });
    assert_eq!(client.call(message, later()).await.unwrap().mid, Some(77));

    let [request] = &backend.requests()[..] else {
        panic!("there is one request");
    };
    assert!(
        request.head.starts_with("post /api.php http/1.1\r\n"),
        "{request:?}"
    );
    for header in [
        "content-type: application/x-www-form-urlencoded",
        "user-agent: test/1",
        "traceparent: 00-1-2-01",
    ] {
        assert!(
            request.head.lines().any(|line| line == header),
            "{request:?}"
        );
    }
    let form: Vec<_> = request
        .form
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let expected = [
        ("op", "message"),
        ("from", "alice"),
        ("to", "bob,carol"),
        ("expiry", "60"),
        ("msg", "a & b"),
        ("token", "t0k/en"),
    ];
    assert_eq!(form, expected);
    let events = observer.events();
    assert_eq!(events.attempts, [op::MESSAGE]);
    assert_eq!(events.calls, [(op::MESSAGE, "ok")]);
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let backend = Backend::new(|_| Answer::reply("OK")).await;
    let observer = Recorder::default();
    let client = backend.client(observer.clone());
    for _ in 0..20 {
        client.call(Operation::user_del(7), later()).await.unwrap();
    }
    assert!(
        backend
            .requests()
            .iter()
            .all(|request| request.connection == 0)
    );
    let events = observer.events();
    assert_eq!((events.opened, events.closed), (1, 0));
    drop(client);
    assert_eq!(observer.events().closed, 1);
}

#[tokio::test]
async fn a_new_token_is_sent_from_the_next_call_on() {
    let backend = Backend::new(|_| Answer::reply("OK")).await;
    let client = backend.client(());
    client.call(Operation::user_del(7), later()).await.unwrap();
    client.set_token("other".into());
    client.call(Operation::user_del(7), later()).await.unwrap();
    let tokens: Vec<_> = backend
        .requests()
        .into_iter()
        .map(|request| request.form.last().unwrap().1.clone())
        .collect();
    assert_eq!(tokens, ["t0k/en", "other"]);
}

#[tokio::test]
async fn a_refusal_has_mesibos_code() {
    let backend = Backend::new(|_| Answer::reply(r#"{"error": "NOUSER", "result": false}"#)).await;
    let error = backend
        .client(())
        .call(Operation::user_del(7), later())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "userdel: refused with NOUSER");
    assert!(matches!(
        error.failure(),
        Failure::Refused { code: Some(code), .. } if code == "NOUSER"
    ));
    assert!(!error.outcome_unknown());
}

#[test]
fn the_target_of_an_operation_has_its_ids_and_addresses_alone() {
    let options = GroupOptions {
        name: Some("team & co"),
        active: Some(true),
        ..GroupOptions::default()
    };
    let members = ["a b".to_owned(), "c".to_owned()];
    let message = |recipient| {
        Operation::message(&Message {
            from: "alice",
            recipient,
            kind: Some(1),
            expiry_seconds: None,
            msg: "secret",
        })
        .target()
    };
    for (target, expected) in [
        (
            Operation::user_add(&UserAdd {
                addr: "alice",
                appid: "com.example",
                name: Some("Alice"),
                ..UserAdd::default()
            })
            .target(),
            "addr=alice&appid=com.example",
        ),
        (
            Operation::user_token(7, "demo").target(),
            "uid=7&appid=demo",
        ),
        (Operation::user_token_delete(7, None).target(), "uid=7"),
        (Operation::users_get(None, Some(3)).target(), ""),
        (Operation::users_get(Some("a*"), None).target(), "addr=a*"),
        (Operation::user_set(7, Some(1), None).target(), "uid=7"),
        (Operation::user_del(7).target(), "uid=7"),
        (Operation::group_add(&options, &[]).target(), ""),
        (
            Operation::group_add(&options, &members).target(),
            "m=a+b%2Cc",
        ),
        (Operation::group_set(9, &options).target(), "gid=9"),
        (Operation::group_del(9).target(), "gid=9"),
        (
            Operation::group_add_members(9, &members, &Permissions::default()).target(),
            "gid=9&m=a+b%2Cc",
        ),
        (
            Operation::group_remove_members(9, &members).target(),
            "gid=9&m=a+b%2Cc",
        ),
        (Operation::group_get_members(9, Some(1)).target(), "gid=9"),
        (message(Recipient::To("bob")), "from=alice&to=bob"),
        (message(Recipient::Group(9)), "from=alice&gid=9"),
    ] {
        assert_eq!(target, expected);
    }
    let long = "x".repeat(1000);
    assert_eq!(Operation::users_get(Some(&long), None).target().len(), 200);
}
