//! Worlds over gRPC: any `mesibo-app` has one of its own.

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        CreateUserRequest, ListUsersRequest, SendMessageRequest, User,
        message_service_client::MessageServiceClient, send_message_request::Recipient,
        user_service_client::UserServiceClient,
    },
};
use reqwest::Method;
use serde_json::json;
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{Emulator, Process, get, settings_file, told};

/// Calls of users, for one app after the other.
struct Caller(UserServiceClient<Channel>);

impl Caller {
    async fn of(sandbox: &Process) -> Self {
        Self(UserServiceClient::new(sandbox.channel().await))
    }

    async fn create(&mut self, app: &str, address: &str) -> Result<u64, Status> {
        let request = CreateUserRequest {
            address: address.into(),
            app_id: "demo".into(),
            ..Default::default()
        };
        let created = self.0.create_user(for_app(app, request)).await?;
        Ok(created.into_inner().uid)
    }

    async fn list(&mut self, app: &str) -> Vec<User> {
        let request = for_app(app, ListUsersRequest::default());
        self.0.list_users(request).await.unwrap().into_inner().users
    }
}

fn for_app<T>(app: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("mesibo-app", app.parse().unwrap());
    request
}

fn refused(result: Result<u64, Status>) -> (Code, String) {
    let (code, _, reason, _) = told(&result.unwrap_err());
    (code, reason)
}

#[tokio::test]
async fn any_app_has_a_world_of_its_own() {
    let sandbox = Process::sandbox();
    let emulator = Emulator::new(sandbox.upstream());
    let mut caller = Caller::of(&sandbox).await;
    for app in ["default", "a", "B.2_x-y"] {
        caller.create(app, &format!("user of {app}")).await.unwrap();
    }
    for app in ["default", "a", "B.2_x-y"] {
        let users = caller.list(app).await;
        let addresses: Vec<_> = users.iter().map(User::address).collect();
        assert_eq!(addresses, [format!("user of {app}")]);
        assert_eq!(emulator.users(app).await, addresses);
    }
    assert!(caller.list("nobody").await.is_empty());
}

#[tokio::test]
async fn what_breaks_one_world_does_not_reach_another() {
    let sandbox = Process::sandbox();
    let emulator = Emulator::new(sandbox.upstream());
    let rules = json!([{ "close": "before" }]);
    emulator
        .send(Method::PUT, "/sandbox/faults?world=broken", &rules)
        .await;
    let mut caller = Caller::of(&sandbox).await;
    let mut reason = String::new();
    for _ in 0..20 {
        (_, reason) = refused(caller.create("broken", "alice").await);
    }
    assert_eq!(reason, "UPSTREAM_DOWN");
    caller.create("whole", "alice").await.unwrap();
    caller.create("default", "alice").await.unwrap();
}

#[tokio::test]
async fn an_app_that_cannot_be_a_world_and_a_world_too_many_are_refused() {
    let sandbox = Process::sandbox_with(&["--metrics-listen", "127.0.0.1:0"]);
    let mut caller = Caller::of(&sandbox).await;
    let long = "x".repeat(64);
    for app in ["a b", "", "a/b", "token-2bb80d537b1d", &long] {
        let expected = (Code::PermissionDenied, "APP_NOT_ALLOWED".to_owned());
        assert_eq!(
            refused(caller.create(app, "alice").await),
            expected,
            "{app:?}"
        );
    }
    // The default world is one of the 100.
    for number in 1..100 {
        let app = format!("app{number}");
        caller.create(&app, "alice").await.unwrap();
    }
    let expected = (Code::ResourceExhausted, "TOOMANYWORLDS".to_owned());
    for app in ["one-more", "another"] {
        assert_eq!(refused(caller.create(app, "alice").await), expected);
    }
    caller.create("app1", "bob").await.unwrap();

    // A caller cannot choose the value of a label.
    let metrics = get(sandbox.logged_address("metrics="), "/metrics").await;
    assert!(metrics.contains(r#"app="(other)""#), "{metrics}");
    assert!(!metrics.contains("app1") && !metrics.contains("one-more"));
}

#[tokio::test]
async fn a_reset_forgets_the_request_ids_of_its_world_alone() {
    let sandbox = Process::sandbox();
    let emulator = Emulator::new(sandbox.upstream());
    let mut messages = MessageServiceClient::new(sandbox.channel().await);
    let mut send = async |app| {
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::ToAddress("bob".into())),
            message: "Hello".into(),
            request_id: Some("7e3ab1a4-3a2b-4c0e-9d7e-0e8a5b1f9c11".into()),
            ..Default::default()
        };
        let sent = messages.send_message(for_app(app, request)).await;
        sent.unwrap().into_inner().message_id
    };
    let mut caller = Caller::of(&sandbox).await;
    for app in ["kept", "reset"] {
        for address in ["alice", "bob"] {
            caller.create(app, address).await.unwrap();
        }
    }
    let (kept, reset) = (send("kept").await, send("reset").await);
    assert_eq!([send("kept").await, send("reset").await], [kept, reset]);

    emulator.delete("/sandbox/state?world=reset").await;
    for address in ["alice", "bob"] {
        caller.create("reset", address).await.unwrap();
    }
    assert_eq!(send("kept").await, kept);
    assert_ne!(send("reset").await, reset);
    let messages = async |world| {
        emulator
            .get(&format!("/sandbox/messages?world={world}"))
            .await
    };
    for world in ["kept", "reset"] {
        let held = messages(world).await;
        assert_eq!(held["messages"].as_array().unwrap().len(), 1, "{held}");
    }
}

#[tokio::test]
async fn a_caller_of_the_settings_makes_no_apps() {
    let file = settings_file(&format!(
        "[callers.tests]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
        KeyHash::of(b"k3y")
    ));
    let sandbox = Process::sandbox_with(&["--config", file.path().to_str().unwrap()]);
    let mut users = UserServiceClient::new(sandbox.channel().await);
    let mut list = async |app, key: &str| {
        let mut request = for_app(app, ListUsersRequest::default());
        let key = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", key);
        let listed = users.list_users(request).await;
        listed.err().map(|status| told(&status).2)
    };
    assert_eq!(list("default", "k3y").await, None);
    assert_eq!(list("mine", "k3y").await.unwrap(), "APP_NOT_ALLOWED");
    assert_eq!(list("mine", "other").await.unwrap(), "INVALID_KEY");
    let worlds = Emulator::new(sandbox.upstream())
        .get("/sandbox/worlds")
        .await;
    assert!(!worlds.to_string().contains("mine"), "{worlds}");
}
