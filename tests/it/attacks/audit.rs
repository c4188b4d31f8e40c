//! The audit in a file: rotated, full, and what becomes of writes then.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use mesibo_grpc::proto::{
    DeleteUserRequest, ListUsersRequest, SendMessageRequest,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
    user_service_client::UserServiceClient,
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon, told};

/// A server whose audit goes to a file.
fn serve(backend: &Backend, file: &Path, args: &[&str]) -> Process {
    let audit = ["--audit-log", file.to_str().unwrap()];
    Process::serve(&backend.url(), &[&audit[..], args].concat())
}

async fn delete(channel: &Channel, uid: u64) -> Result<(), Status> {
    let mut users = UserServiceClient::new(channel.clone());
    users
        .delete_user(DeleteUserRequest {
            uid,
            ..DeleteUserRequest::default()
        })
        .await
        .map(drop)
}

/// Waits until a file has so many lines, and gives it.
async fn lines(file: &Path, count: usize) -> String {
    soon(async {
        loop {
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.lines().count() >= count {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_opened_again_on_a_hangup_and_no_line_is_lost() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let (file, rotated) = (
        directory.path().join("audit.log"),
        directory.path().join("audit.log.1"),
    );
    let server = serve(&backend, &file, &[]);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let channel = server.channel().await;
    for uid in 1..=10 {
        delete(&channel, uid).await.unwrap();
    }
    lines(&file, 10).await;
    fs::rename(&file, &rotated).unwrap();
    for uid in 11..=20 {
        delete(&channel, uid).await.unwrap();
    }
    lines(&rotated, 20).await;
    server.signal("HUP");
    soon(server.logged("the audit was opened again")).await;
    for uid in 21..=30 {
        delete(&channel, uid).await.unwrap();
    }
    lines(&file, 10).await;
    server.signal("TERM");
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");
    assert!(!log.contains("subject="), "the audit has its own place");
    let text = [rotated, file].map(|file| fs::read_to_string(file).unwrap());
    let text = text.concat();
    for uid in 1..=30 {
        let subject = format!("subject=\"uid={uid}\" outcome=\"done\"");
        assert_eq!(text.matches(&subject).count(), 1, "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_goes_out_without_its_line_where_the_settings_refuse_it() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let (link, file) = (
        directory.path().join("audit.log"),
        directory.path().join("audit.new"),
    );
    // Every write to it fails, as on a disk that is full.
    symlink("/dev/full", &link).unwrap();
    let server = serve(&backend, &link, &["--audit-on-failure", "refuse"]);
    let channel = server.channel().await;
    // That it is full shows with the first line.
    let refused = soon(async {
        loop {
            if let Err(status) = delete(&channel, 7).await {
                return status;
            }
        }
    })
    .await;
    let refused = told(&refused);
    assert_eq!(refused.0, Code::Unavailable);
    assert_eq!(refused.2, "AUDIT_UNAVAILABLE");
    let sent = backend.requests().len();
    let mut messages = MessageServiceClient::new(channel.clone());
    let message = SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::ToAddress("bob".into())),
        message: "hi".into(),
        request_id: Some("6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e".into()),
        ..Default::default()
    };
    let status = messages.send_message(message.clone()).await.unwrap_err();
    assert_eq!(told(&status).2, "AUDIT_UNAVAILABLE");
    assert_eq!(backend.requests().len(), sent, "nothing was sent");
    // Reads change nothing.
    let mut users = UserServiceClient::new(channel.clone());
    users.list_users(ListUsersRequest::default()).await.unwrap();
    assert!(server.log().contains("the audit cannot be written"));

    fs::remove_file(&link).unwrap();
    symlink(&file, &link).unwrap();
    server.signal("HUP");
    soon(server.logged("the audit is written again")).await;
    // Its id was not used up.
    messages.send_message(message).await.unwrap();
    let text = lines(&file, sent + 1).await;
    assert_eq!(text.lines().count(), sent + 1, "each write has its line");
    assert!(text.contains("to=bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_without_the_audit_where_the_settings_say_so() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = serve(&backend, Path::new("/dev/full"), &[]);
    let channel = server.channel().await;
    delete(&channel, 1).await.unwrap();
    soon(server.logged("the audit cannot be written")).await;
    for uid in 2..=100 {
        delete(&channel, uid).await.unwrap();
    }
    assert_eq!(backend.requests().len(), 100);
}

#[test]
fn an_audit_that_cannot_be_opened_stops_the_start() {
    for (file, why) in [
        ("/nowhere/audit.log", "No such file or directory"),
        ("/", "Is a directory"),
    ] {
        let output = crate::support::process::command(&["serve", "--audit-log", file])
            .args(["--listen", "127.0.0.1:0"])
            .env("MESIBO_APP_TOKEN", crate::support::TOKEN)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let log = String::from_utf8(output.stderr).unwrap();
        let line = format!("mesibo-grpc: audit-log: cannot write to {file}: {why}");
        assert!(log.contains(&line), "{log}");
    }
}
