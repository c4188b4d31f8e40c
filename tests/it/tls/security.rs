//! The settings file of docs/security.md, in use.

use std::{fs, path::Path};

use mesibo_grpc::proto::{
    CreateUserRequest, SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient, user_service_client::UserServiceClient,
};
use tonic::{Request, Status, service::Interceptor, transport::Channel};

use super::{
    NAME,
    authority::{Authority, Files},
    connect, list,
};
use crate::{
    program::key_and_entry,
    support::{Answer, Backend, EVERYTHING, Process, process::command, told, write_private},
};

/// The settings file of the document, with keys of its callers in the place of those that
/// nobody has, and its files in a folder of the test.
fn settings(directory: &Path, files: &Files) -> (String, [String; 2]) {
    let document = include_str!("../../../docs/security.md");
    let (_, rest) = document.split_once("```toml\n").unwrap();
    let (settings, _) = rest.split_once("```").unwrap();
    let mut settings = settings
        .replace("/run/secrets/", &format!("{}/", directory.display()))
        .replace(
            "/etc/mesibo-grpc/tls/",
            &format!("{}/", files.path("").display()),
        );
    let hashes: Vec<_> = settings
        .match_indices("sha256:")
        .map(|(at, _)| settings[at..at + "sha256:".len() + 64].to_owned())
        .collect();
    let keys = [("orders", 1), ("accounts", 2)].map(|(name, index)| {
        let output = command(&["key", name]).output().unwrap();
        let (key, entry) = key_and_entry(&output);
        let (_, hash) = entry.split_once('"').unwrap();
        let (hash, _) = hash.split_once('"').unwrap();
        settings = settings.replace(&hashes[index], hash);
        key
    });
    (settings, keys)
}

/// Shows a key, if there is one, and names an app, if there is one.
#[derive(Clone)]
struct Along(Option<String>, Option<&'static str>);

impl Interceptor for Along {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let Self(key, app) = self;
        let metadata = request.metadata_mut();
        if let Some(key) = key {
            metadata.insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        if let Some(app) = app {
            metadata.insert("mesibo-app", app.parse().unwrap());
        }
        Ok(request)
    }
}

async fn send(channel: &Channel, along: Along, from: &str) -> String {
    let request = SendMessageRequest {
        from_address: from.into(),
        recipient: Some(Recipient::Gid(7)),
        message: "Hello".into(),
        ..Default::default()
    };
    let mut messages = MessageServiceClient::with_interceptor(channel.clone(), along);
    outcome(messages.send_message(request).await)
}

async fn create(channel: &Channel, along: Along, app_id: &str) -> String {
    let request = CreateUserRequest {
        address: "alice".into(),
        app_id: app_id.into(),
        ..Default::default()
    };
    let mut users = UserServiceClient::with_interceptor(channel.clone(), along);
    outcome(users.create_user(request).await)
}

fn outcome<T>(result: Result<T, Status>) -> String {
    result.map_or_else(|status| told(&status).2, |_| "OK".into())
}

#[tokio::test]
async fn the_settings_file_of_the_document_does_what_it_says() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(&[NAME]), &clients.pem);
    let directory = tempfile::tempdir().unwrap();
    for app in ["shop", "support"] {
        let token = format!("s3ntinel-{app}");
        write_private(&directory.path().join(app), &token);
    }
    let (settings, [orders, accounts]) = settings(directory.path(), &files);
    let config = directory.path().join("mesibo-grpc.toml");
    fs::write(&config, settings).unwrap();
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let mut command = command(&["serve", "--upstream-url", &backend.url()]);
    command.arg("--config").arg(&config);
    command.args(["--health-listen", "127.0.0.1:0", "--lame-duck", "0s"]);
    let server = Process::start_on("127.0.0.1:0", command);

    let pem = &authority.pem;
    let channel = connect(&server.address, pem, None).await.unwrap();
    let orders = |app| Along(Some(orders.clone()), app);
    assert_eq!(send(&channel, orders(None), "shop-7").await, "OK");
    assert_eq!(
        send(&channel, orders(None), "alice").await,
        "SENDER_NOT_ALLOWED"
    );
    assert_eq!(
        send(&channel, orders(Some("support")), "shop").await,
        "APP_NOT_ALLOWED"
    );
    assert_eq!(create(&channel, orders(None), "x").await, "RPC_NOT_ALLOWED");
    assert_eq!(
        send(&channel, Along(None, None), "shop").await,
        "NO_CREDENTIALS"
    );

    let accounts = |app| Along(Some(accounts.clone()), app);
    let (shop, support) = ("com.example.shop", "com.example.support");
    assert_eq!(create(&channel, accounts(None), shop).await, "OK");
    assert_eq!(
        create(&channel, accounts(Some("support")), support).await,
        "OK"
    );
    assert_eq!(
        create(&channel, accounts(None), "x").await,
        "APP_ID_NOT_ALLOWED"
    );
    assert_eq!(
        send(&channel, accounts(None), "shop").await,
        "RPC_NOT_ALLOWED"
    );

    let helpdesk = clients.issue(&["spiffe://example.com/helpdesk"]);
    let channel = connect(&server.address, pem, Some(&helpdesk))
        .await
        .unwrap();
    assert_eq!(
        send(&channel, Along(None, Some("support")), "desk").await,
        "OK"
    );
    assert_eq!(
        send(&channel, Along(None, None), "desk").await,
        "APP_NOT_ALLOWED"
    );
    let by_certificate = clients.issue(&["accounts.example.com"]);
    let channel = connect(&server.address, pem, Some(&by_certificate))
        .await
        .unwrap();
    assert_eq!(create(&channel, Along(None, None), shop).await, "OK");
    list(channel, None).await.unwrap();

    let tokens: Vec<_> = backend
        .requests()
        .iter()
        .map(|request| request.get("token").unwrap().to_owned())
        .collect();
    let of = |app| {
        tokens
            .iter()
            .filter(|token| **token == format!("s3ntinel-{app}"))
            .count()
    };
    assert_eq!((of("shop"), of("support"), tokens.len()), (4, 2, 6));
}
