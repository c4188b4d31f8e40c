//! Who gets what is not theirs: tokens of users, and RPCs that forget a right.

use mesibo_grpc::{
    call::{
        Policy,
        policy::{Effect, Right},
    },
    proto::{ListUsersRequest, User, user_service_client::UserServiceClient},
};

use super::callers::{caller, send};
use crate::{
    access::{Fixture, bearer, call},
    support::{
        Answer, Backend, EVERYTHING, Facade, Process, facade::Bearer, get, settings_file, told,
    },
};

const KEY: &str = "mgk_s3ntinel_helpdesk";

/// Users with tokens for one app, another, and none that is named.
const USERS: &str = r#"{"result": true, "users": [
    {"uid": 1, "address": "chief", "appid": "com.example.shop", "token": "token1"},
    {"uid": 2, "address": "alice", "appid": "com.example.other", "token": "token2"},
    {"uid": 3, "address": "bob", "token": "token3"}]}"#;

/// The tokens among users, who are all there in any case.
fn tokens(users: Vec<User>) -> Vec<Option<String>> {
    let addresses: Vec<_> = users.iter().map(|user| user.address.as_deref()).collect();
    assert_eq!(addresses, [Some("chief"), Some("alice"), Some("bob")]);
    users.into_iter().map(|user| user.access_token).collect()
}

#[tokio::test]
async fn the_tokens_of_users_are_for_callers_with_a_right_to_read_them() {
    let all = ["token1", "token2", "token3"].map(|token| Some(token.to_owned()));
    let one = [all[0].clone(), None, None];
    for (table, expected) in [
        ("app-ids = [\"com.example.shop\"]", [None, None, None]),
        ("", [None, None, None]),
        ("app-ids = [\"com.example.shop\"]\nread-tokens = true", one),
        ("read-tokens = true", all.clone()),
    ] {
        let helpdesk = caller("helpdesk", KEY, table);
        let fixture = Fixture::with(Answer::ok(USERS), &helpdesk, &[]);
        let channel = fixture.facade.channel.clone();
        let mut users = UserServiceClient::with_interceptor(channel, Bearer(KEY));
        let listed = users.list_users(ListUsersRequest::default()).await;
        let users = listed.unwrap().into_inner().users;
        assert_eq!(tokens(users), expected, "{table}");
    }
    // Whoever may make tokens may read them.
    let backend = Backend::always(Answer::ok(USERS));
    let facade = Facade::new(&backend.url());
    let listed = facade.users().list_users(ListUsersRequest::default()).await;
    assert_eq!(tokens(listed.unwrap().into_inner().users), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_denies_is_counted_like_what_the_server_denies() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let settings = settings_file(&caller("mallory", KEY, "from-addresses = [\"mallory\"]"));
    let config = settings.path().to_str().unwrap();
    let args = ["--metrics-listen", "127.0.0.1:0", "--config", config];
    let server = Process::serve(&backend.url(), &args);
    let channel = server.channel().await;
    for _ in 0..3 {
        let denied = send(&channel, KEY, "chief", "bob").await.unwrap_err();
        assert_eq!(told(&denied).2, "SENDER_NOT_ALLOWED");
    }
    let metrics = get(server.logged_address("metrics="), "/metrics").await;
    let of_denials = |line: &&str| {
        line.starts_with("mesibo_grpc_denied_total") && line.contains("\"SENDER_NOT_ALLOWED\"")
    };
    let counts = metrics.lines().filter(of_denials);
    let counts = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(counts.sum::<u32>(), 3);
}

#[tokio::test]
async fn every_rpc_enforces_the_rights_that_its_request_names() {
    let nobody = "from-addresses = [\"nobody\"]\napp-ids = [\"none\"]";
    let restricted = caller("restricted", KEY, nobody);
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &restricted, &[]);
    let shown = bearer(KEY);
    let mut seen = Vec::new();
    for policy in Policy::of_contract() {
        if policy.is_client_streaming {
            // Its items are asked for their rights one by one, which tests of streams show.
            continue;
        }
        let path = format!("/{}", policy.name());
        // An empty request names no sender and no app_id, and the caller may use neither.
        let called = call(&fixture.facade.channel, &path, (Some(&shown), None)).await;
        let reason = called.err().map(|status| told(&status).2);
        let reason = reason.as_deref();
        let denials = ["SENDER_NOT_ALLOWED", "APP_ID_NOT_ALLOWED"];
        let expected = policy.rights.first().map(|right| match right {
            Right::Send => denials[0],
            Right::Grant => denials[1],
        });
        match expected {
            Some(_) => assert_eq!(reason, expected, "{path}"),
            None => assert!(!denials.map(Some).contains(&reason), "{path}"),
        }
        // What a caller may be kept from changes something.
        assert!(policy.rights.is_empty() || policy.effect != Effect::Read);
        seen.extend(policy.rights.iter().copied());
    }
    assert!(seen.contains(&Right::Send) && seen.contains(&Right::Grant));
}
