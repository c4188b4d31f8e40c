//! Every RPC, with every kind of credentials.

use mesibo_grpc::proto::{
    CreateUserRequest, DeleteUserTokenRequest, RegenerateUserTokenRequest, SendMessageRequest,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
    user_service_client::UserServiceClient,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{ADMIN, Fixture, ORDERS, READER, bearer, call, paths};
use crate::support::{
    Answer, EVERYTHING, Told,
    doors::{DOORS, Door},
    facade::Bearer,
    telling, told,
};

fn denied(reason: &str, caller: &str) -> Told {
    let caller = [("caller", caller)];
    telling(Code::PermissionDenied, "mesibo-grpc", reason, &caller)
}

fn unknown(reason: &str) -> Told {
    telling(Code::Unauthenticated, "mesibo-grpc", reason, &[])
}

#[tokio::test]
async fn every_rpc_is_for_those_alone_who_may_call_it_for_the_app() {
    for door in DOORS {
        permissions_hold_at(door).await;
    }
}

async fn permissions_hold_at(door: Door) {
    let fixture = Fixture::new();
    let channel = &door.of(fixture.facade.addr());
    let changed = ADMIN.replace("admin", "bdmin");
    let longer = format!("{ADMIN}0");
    for path in paths().into_iter().filter(|path| door.carries(path)) {
        let refused = async |key: Option<&str>, app| {
            let authorization = key.map(bearer);
            let called = call(channel, &path, (authorization.as_deref(), app)).await;
            told(&called.unwrap_err())
        };
        assert_eq!(
            refused(None, None).await,
            unknown("NO_CREDENTIALS"),
            "{door:?} {path}"
        );
        for key in ["wrong", &changed, &ADMIN[..ADMIN.len() - 1], &longer, ""] {
            let told = refused(Some(key), None).await;
            assert_eq!(told, unknown("INVALID_KEY"), "{door:?} {path} {key}");
        }
        let may_read = path.ends_with("/ListUsers");
        if !may_read {
            // The app is right, and does not help.
            let told = refused(Some(READER), Some("support")).await;
            assert_eq!(told, denied("RPC_NOT_ALLOWED", "reader"), "{door:?} {path}");
        }
        if !may_read && !path.contains("MessageService") {
            let told = refused(Some(ORDERS), None).await;
            assert_eq!(told, denied("RPC_NOT_ALLOWED", "orders"), "{door:?} {path}");
        }
        let told = refused(Some(ADMIN), Some("unknown")).await;
        assert_eq!(told, denied("APP_NOT_ALLOWED", "admin"), "{door:?} {path}");
    }
    assert!(fixture.shop.requests().is_empty() && fixture.support.requests().is_empty());

    for path in paths().into_iter().filter(|path| door.carries(path)) {
        for app in [None, Some("shop"), Some("support")] {
            let called = call(channel, &path, (Some(&bearer(ADMIN)), app)).await;
            // All but two have rules that an empty request breaks, and a stream goes on when
            // an item does.
            let reason = called.err().map(|status| told(&status).2);
            let passes = [
                "/ListUsers",
                "/CreateGroup",
                "/CreateUsers",
                "/SendMessages",
            ];
            let passes = passes.iter().any(|rpc| path.ends_with(rpc));
            // These have no such rules, and need a store.
            let needs_store = ["/SearchUsers", "/SearchGroups"];
            let needs_store = needs_store.iter().any(|rpc| path.ends_with(rpc));
            let refused = if needs_store {
                "NO_STORE"
            } else {
                "INVALID_REQUEST"
            };
            let expected = (!passes).then_some(refused);
            assert_eq!(reason.as_deref(), expected, "{door:?} {path}");
        }
    }
}

#[tokio::test]
async fn an_app_that_there_is_not_looks_like_one_that_is_not_for_the_caller() {
    let fixture = Fixture::new();
    let path = "/mesibo.v1.UserService/ListUsers";
    let mut statuses = Vec::new();
    let (orders, reader) = (bearer(ORDERS), bearer(READER));
    for app in ["support", "unknown", "", "Shop"] {
        let called = call(&fixture.facade.channel, path, (Some(&orders), Some(app)));
        let status = called.await.unwrap_err();
        assert_eq!(told(&status), denied("APP_NOT_ALLOWED", "orders"), "{app}");
        let mut details = status.get_error_details();
        assert!(details.request_info().is_some());
        // All but the id of the call is the same.
        details.set_request_info("", "");
        let (code, text) = (status.code(), status.message().to_owned());
        statuses.push((code, text, format!("{details:?}")));
    }
    statuses.dedup();
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    // Its caller may not use the default app either.
    let called = call(&fixture.facade.channel, path, (Some(&reader), None));
    let told = told(&called.await.unwrap_err());
    assert_eq!(told, denied("APP_NOT_ALLOWED", "reader"));
}

#[tokio::test]
async fn a_call_goes_to_the_app_that_it_names_with_the_token_of_that_app() {
    let fixture = Fixture::new();
    let channel = &fixture.facade.channel;
    let path = "/mesibo.v1.UserService/ListUsers";
    for (key, app) in [
        (ADMIN, None),
        (ADMIN, Some("shop")),
        (ADMIN, Some("support")),
        (READER, Some("support")),
        (ORDERS, None),
    ] {
        let shown = bearer(key);
        call(channel, path, (Some(&shown), app)).await.unwrap();
    }
    for (backend, token, count) in [
        (&fixture.shop, super::SHOP_TOKEN, 3),
        (&fixture.support, super::SUPPORT_TOKEN, 2),
    ] {
        let requests = backend.requests();
        assert_eq!(requests.len(), count);
        assert!(
            requests
                .iter()
                .all(|request| request.get("token") == Some(token))
        );
    }
}

/// A caller, `limited`, that may send and grant only some.
fn limits() -> String {
    let hash = mesibo_grpc::access::key::KeyHash::of(b"mgk_s3ntinel_limited");
    format!(
        "[callers.limited]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n\
         from-addresses = [\"shop\", \"shop-*\"]\napp-ids = [\"demo\"]\n"
    )
}

#[tokio::test]
async fn a_sender_may_be_limited_to_addresses() {
    let fixture = Fixture::with(Answer::ok(EVERYTHING), &limits(), &[]);
    let send = async |door: Door, from: &str| {
        let channel = door.of(fixture.facade.addr());
        let mut messages =
            MessageServiceClient::with_interceptor(channel, Bearer("mgk_s3ntinel_limited"));
        let request = SendMessageRequest {
            from_address: from.into(),
            recipient: Some(Recipient::Gid(7)),
            message: "Hello".into(),
            ..Default::default()
        };
        messages.send_message(request).await
    };
    for door in DOORS {
        for allowed in ["shop", "shop-1", "shop-"] {
            send(door, allowed).await.unwrap();
        }
        for other in ["alice", "shops", "a-shop"] {
            let told = told(&send(door, other).await.unwrap_err());
            let expected = denied("SENDER_NOT_ALLOWED", "limited");
            assert_eq!(told, expected, "{door:?} {other}");
        }
    }
    assert_eq!(fixture.shop.requests().len(), 3 * DOORS.len());
}

#[tokio::test]
async fn tokens_of_users_may_be_limited_to_app_ids() {
    for (op, may_delete) in [("usertoken", true), ("userdel", false)] {
        let settings = [("delete-user-token-op", op)];
        let fixture = Fixture::with(Answer::ok(EVERYTHING), &limits(), &settings);
        let channel = fixture.facade.channel.clone();
        let users = UserServiceClient::with_interceptor(channel, Bearer("mgk_s3ntinel_limited"));
        let create = async |app_id: &str| {
            let request = CreateUserRequest {
                address: "alice".into(),
                app_id: app_id.into(),
                ..Default::default()
            };
            users.clone().create_user(request).await.map(drop)
        };
        let regenerate = async |app_id: &str| {
            let app_id = app_id.into();
            let request = RegenerateUserTokenRequest {
                uid: 7,
                app_id,
                ..RegenerateUserTokenRequest::default()
            };
            users.clone().regenerate_user_token(request).await.map(drop)
        };
        let delete = async |app_id: Option<&str>| {
            let app_id = app_id.map(Into::into);
            let request = DeleteUserTokenRequest {
                uid: 7,
                app_id,
                ..DeleteUserTokenRequest::default()
            };
            users.clone().delete_user_token(request).await.map(drop)
        };
        create("demo").await.unwrap();
        regenerate("demo").await.unwrap();
        // What is sent as printed would delete the user, with the tokens of every app.
        let deleted = delete(Some("demo")).await;
        assert_eq!(deleted.is_ok(), may_delete);
        let expected = denied("APP_ID_NOT_ALLOWED", "limited");
        for refused in [
            create("other").await,
            regenerate("other").await,
            delete(Some("other")).await,
            delete(None).await,
        ] {
            assert_eq!(told(&refused.unwrap_err()), expected);
        }
        let sent = 2 + usize::from(may_delete);
        assert_eq!(fixture.shop.requests().len(), sent);
    }
}
