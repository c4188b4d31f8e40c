//! The sandbox through the facade: the emulator on a real port, and what it does
//! told by the contract's own statuses.

mod flags;
mod recipes;
mod worlds;

use mesibo_grpc::proto::{
    CreateGroupRequest, CreateUserRequest, CreateUserResponse, DeleteUserRequest,
    EditGroupMembersRequest, EditGroupRequest, EditUserRequest, ListGroupMembersRequest,
    ListUsersRequest, SendMessageRequest, edit_group_members_request::Action,
    send_message_request::Recipient,
};
use mesibo_sandbox::Sandbox;
use prost_types::Duration;
use serde_json::Value;
use tonic::{Code, Status};

use crate::support::{Facade, TOKEN, sandbox_state, telling, thread, told};

/// An emulator with a facade in front of it.
struct Bench {
    emulator: thread::Server,
    facade: Facade,
}

impl Bench {
    fn new() -> Self {
        let emulator = thread::Server::start(async move |tell, stopped| {
            let listen = "127.0.0.1:0".parse().unwrap();
            let sandbox = Sandbox::bind(listen, TOKEN).await.unwrap();
            tell.send(sandbox.local_addr()).unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            sandbox.serve(shutdown).await.unwrap();
        });
        let facade = Facade::new(&format!("http://{}/api.php", emulator.addr));
        Self { emulator, facade }
    }

    async fn create_user(&self, address: &str) -> CreateUserResponse {
        let request = CreateUserRequest {
            address: address.into(),
            app_id: "demo".into(),
            ..Default::default()
        };
        let created = self.facade.users().create_user(request).await;
        created.unwrap().into_inner()
    }

    async fn create_group(&self, request: CreateGroupRequest) -> u64 {
        let created = self.facade.groups().create_group(request).await;
        created.unwrap().into_inner().gid
    }

    async fn send(&self, recipient: Recipient) -> Result<u64, Status> {
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(recipient),
            message: "Grüße & \u{1F600} = 100%\r\n".into(),
            ..Default::default()
        };
        let sent = self.facade.messages().send_message(request).await?;
        Ok(sent.into_inner().message_id.unwrap())
    }

    /// What the emulator holds.
    async fn state(&self) -> Value {
        sandbox_state(self.emulator.addr).await
    }
}

fn to(address: &str) -> Recipient {
    Recipient::ToAddress(address.into())
}

#[track_caller]
fn refused(result: &Result<u64, Status>, code: Code, reason: &str) {
    let expected = telling(code, "mesibo.com", reason, &[("op", "message")]);
    assert_eq!(told(result.as_ref().unwrap_err()), expected);
}

#[tokio::test]
async fn a_known_address_keeps_its_uid_and_gets_a_new_token() {
    let bench = Bench::new();
    let first = bench.create_user("alice").await;
    let second = bench.create_user("alice").await;
    assert_eq!(first.uid, second.uid);
    assert_ne!(first.access_token, second.access_token);
    assert_ne!(bench.create_user("bob").await.uid, first.uid);
}

#[tokio::test]
async fn a_message_arrives_unchanged() {
    let bench = Bench::new();
    bench.create_user("alice").await;
    bench.create_user("bob").await;
    bench.send(to("bob")).await.unwrap();
    let state = bench.state().await;
    assert_eq!(state["messages"][0]["msg"], "Grüße & \u{1F600} = 100%\r\n");
}

#[tokio::test]
async fn an_inactive_unknown_or_deleted_user_cannot_send() {
    let bench = Bench::new();
    bench.create_user("bob").await;
    refused(&bench.send(to("bob")).await, Code::NotFound, "NOUSER");
    let alice = bench.create_user("alice").await.uid;
    bench.send(to("bob")).await.unwrap();
    refused(&bench.send(to("carol")).await, Code::NotFound, "NOUSER");

    let disable = EditUserRequest {
        uid: alice,
        flags: None,
        active: Some(false),
        ..EditUserRequest::default()
    };
    bench.facade.users().edit_user(disable).await.unwrap();
    let code = Code::PermissionDenied;
    refused(&bench.send(to("bob")).await, code, "USERDISABLED");
    let delete = DeleteUserRequest {
        uid: alice,
        ..DeleteUserRequest::default()
    };
    bench.facade.users().delete_user(delete).await.unwrap();
    refused(&bench.send(to("bob")).await, Code::NotFound, "NOUSER");
}

#[tokio::test]
async fn a_disabled_or_expired_group_takes_no_messages() {
    let bench = Bench::new();
    bench.create_user("alice").await;
    let request = CreateGroupRequest {
        members: vec!["alice".into()],
        ..Default::default()
    };
    let gid = bench.create_group(request.clone()).await;
    bench.send(Recipient::Gid(gid)).await.unwrap();
    let disable = EditGroupRequest {
        gid,
        active: Some(false),
        ..Default::default()
    };
    bench.facade.groups().edit_group(disable).await.unwrap();
    let sent = bench.send(Recipient::Gid(gid)).await;
    refused(&sent, Code::PermissionDenied, "GROUPDISABLED");

    let expiry = Some(Duration {
        seconds: 1,
        nanos: 0,
    });
    let gid = bench
        .create_group(CreateGroupRequest { expiry, ..request })
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let sent = bench.send(Recipient::Gid(gid)).await;
    refused(&sent, Code::NotFound, "NOGROUP");
}

#[tokio::test]
async fn lists_have_20_rows_at_most_and_deleted_users_leave_their_groups() {
    let bench = Bench::new();
    let mut uids = Vec::new();
    let addresses: Vec<_> = (0..25).map(|number| format!("user{number}")).collect();
    for address in &addresses {
        uids.push(bench.create_user(address).await.uid);
    }
    let gid = bench.create_group(CreateGroupRequest::default()).await;
    let edit = EditGroupMembersRequest {
        gid,
        members: addresses,
        action: Action::Add.into(),
        permissions: None,
    };
    bench
        .facade
        .groups()
        .edit_group_members(edit)
        .await
        .unwrap();
    let members = async |count| {
        let request = ListGroupMembersRequest { gid, count };
        let listed = bench.facade.groups().list_group_members(request).await;
        listed.unwrap().into_inner().members.len()
    };
    let users = async |pattern: Option<&str>, count| {
        let request = ListUsersRequest {
            address_pattern: pattern.map(Into::into),
            count,
        };
        let listed = bench.facade.users().list_users(request).await;
        listed.unwrap().into_inner().users.len()
    };
    assert_eq!(members(None).await, 20);
    assert_eq!(members(Some(3)).await, 3);
    assert_eq!(users(None, None).await, 20);
    assert_eq!(users(Some("*"), Some(4)).await, 4);
    assert_eq!(users(Some("user2*"), None).await, 6);
    assert_eq!(users(Some("user2"), None).await, 1);
    assert_eq!(users(Some("nobody*"), None).await, 0);

    for uid in uids.drain(..20) {
        let delete = DeleteUserRequest {
            uid,
            ..DeleteUserRequest::default()
        };
        bench.facade.users().delete_user(delete).await.unwrap();
    }
    assert_eq!(members(None).await, 5);
}

#[tokio::test]
async fn a_wrong_token_is_the_facades() {
    let bench = Bench::new();
    let url = format!("http://{}/api.php", bench.emulator.addr);
    let facade = Facade::with(&url, &[("app-token", "other")]);
    let request = DeleteUserRequest {
        uid: 1,
        ..DeleteUserRequest::default()
    };
    let status = facade.users().delete_user(request).await.unwrap_err();
    assert_eq!(
        told(&status),
        telling(
            Code::Unauthenticated,
            "mesibo.com",
            "AUTHFAIL",
            &[("op", "userdel")]
        )
    );
}
