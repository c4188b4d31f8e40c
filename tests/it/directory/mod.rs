//! The directory, from writes at Mesibo to what `DirectoryService` answers.

mod existing;
mod rights;
mod walk;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesibo_grpc::proto::{
    CreateUserRequest, DeleteUserRequest, EditUserRequest, EntryState, ListUsersRequest,
    LookupGroupRequest, LookupUserRequest, SearchUsersRequest, UserEntry,
    directory_service_client::DirectoryServiceClient, group_service_client::GroupServiceClient,
    lookup_user_request::Key, message_service_client::MessageServiceClient,
    user_service_client::UserServiceClient,
};
use tempfile::TempDir;
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{Answer, Backend, Facade, Process, backend::Recorded, facade::soon, told};

/// A backend that holds users.
#[derive(Clone, Default)]
struct Mesibo(Arc<World>);

#[derive(Default)]
struct World {
    /// Uids by address.
    users: Mutex<BTreeMap<String, u64>>,
    /// Carries out writes, and gives no answer to them.
    is_silent: AtomicBool,
}

impl Mesibo {
    fn start(&self) -> Backend {
        let world = Arc::clone(&self.0);
        Backend::scripted(move |request| world.answer(request))
    }

    fn remove(&self, address: &str) {
        self.0.users.lock().unwrap().remove(address);
    }

    fn uid(&self, address: &str) -> Option<u64> {
        self.0.users.lock().unwrap().get(address).copied()
    }

    fn be_silent(&self, is_silent: bool) {
        self.0.is_silent.store(is_silent, Ordering::SeqCst);
    }
}

impl World {
    fn answer(&self, request: &Recorded) -> Answer {
        let op = request.get("op").unwrap();
        let users = &mut *self.users.lock().unwrap();
        let uid = request.get("uid").and_then(|uid| uid.parse::<u64>().ok());
        let body = match op {
            "useradd" => {
                let next = 100 + users.len() as u64;
                let address = request.get("addr").unwrap().to_owned();
                let uid = users.entry(address).or_insert(next);
                format!(r#"{{"result": true, "user": {{"uid": {uid}, "token": "t0ken"}}}}"#)
            }
            "usersget" => {
                let pattern = request.get("addr").unwrap_or("*");
                let users = users.iter();
                let users = users.filter(|(address, _)| pattern == "*" || pattern == *address);
                let users: Vec<_> = users
                    .map(|(address, uid)| format!(r#"{{"uid": {uid}, "address": "{address}"}}"#))
                    .collect();
                return Answer::ok(format!(
                    r#"{{"result": true, "users": [{}]}}"#,
                    users.join(",")
                ));
            }
            "groupadd" => r#"{"result": true, "group": {"gid": 9}}"#.to_owned(),
            "groupeditmembers" => r#"{"result": true}"#.to_owned(),
            "message" => r#"{"result": true, "mid": 1}"#.to_owned(),
            _ if !users.values().any(|known| Some(*known) == uid) => {
                r#"{"result": false, "error": "NOUSER"}"#.to_owned()
            }
            "userdel" => {
                users.retain(|_, known| Some(*known) != uid);
                r#"{"result": true}"#.to_owned()
            }
            "usertoken" => {
                let uid = uid.unwrap();
                format!(r#"{{"result": true, "user": {{"uid": {uid}, "token": "t0ken"}}}}"#)
            }
            _ => r#"{"result": true}"#.to_owned(),
        };
        if self.is_silent.load(Ordering::SeqCst) {
            return Answer::Hang;
        }
        Answer::ok(body)
    }
}

/// The settings of a store in a file of a folder.
fn sqlite(folder: &TempDir) -> Vec<String> {
    let file = folder.path().join("store.db");
    vec!["--store".into(), format!("sqlite:{}", file.display())]
}

fn serve(backend: &Backend, store: &[String]) -> Process {
    let mut settings = vec![
        "--directory-lookup-interval",
        "50ms",
        "--default-deadline",
        "5s",
    ];
    settings.extend(store.iter().map(String::as_str));
    Process::serve(&backend.url(), &settings)
}

/// Clients of one server.
struct Clients {
    users: UserServiceClient<Channel>,
    groups: GroupServiceClient<Channel>,
    messages: MessageServiceClient<Channel>,
    directory: DirectoryServiceClient<Channel>,
}

impl Clients {
    async fn of(server: &Process) -> Self {
        let channel = server.channel().await;
        Self {
            users: UserServiceClient::new(channel.clone()),
            groups: GroupServiceClient::new(channel.clone()),
            messages: MessageServiceClient::new(channel.clone()),
            directory: DirectoryServiceClient::new(channel),
        }
    }

    async fn create(&mut self, address: &str) -> Result<u64, Status> {
        let request = CreateUserRequest {
            address: address.into(),
            app_id: "app".into(),
            ..CreateUserRequest::default()
        };
        let created = soon(self.users.create_user(request)).await?;
        Ok(created.into_inner().uid)
    }

    async fn delete(&mut self, address: &str) -> Result<(), Status> {
        let request = DeleteUserRequest {
            address: Some(address.into()),
            ..DeleteUserRequest::default()
        };
        soon(self.users.delete_user(request)).await.map(drop)
    }

    async fn look_up(&mut self, key: Key) -> Result<UserEntry, Status> {
        let request = LookupUserRequest { key: Some(key) };
        let found = soon(self.directory.lookup_user(request)).await?;
        Ok(found.into_inner().user.unwrap())
    }

    async fn entry(&mut self, address: &str) -> Result<UserEntry, Status> {
        self.look_up(Key::Address(address.into())).await
    }

    /// The entry, once its state is this.
    async fn in_state(&mut self, address: &str, state: EntryState) -> UserEntry {
        soon(async {
            loop {
                match self.entry(address).await {
                    Ok(entry) if entry.state() == state => return entry,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
    }

    async fn gone(&mut self, address: &str) {
        soon(async {
            while self.entry(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

fn reason(status: &Status) -> (Code, String) {
    let (code, _, reason, _) = told(status);
    (code, reason)
}

#[tokio::test]
async fn an_address_that_the_directory_does_not_have_is_asked_for_at_mesibo() {
    let mesibo = Mesibo::default();
    let backend = mesibo.start();
    let before = Facade::new(&backend.url());
    let create = CreateUserRequest {
        address: "old".into(),
        app_id: "app".into(),
        ..CreateUserRequest::default()
    };
    soon(before.users().create_user(create)).await.unwrap();
    // Without a store, too.
    let delete = |address: &str| DeleteUserRequest {
        address: Some(address.into()),
        ..DeleteUserRequest::default()
    };
    for address in ["nobody", "*"] {
        let status = soon(before.users().delete_user(delete(address)))
            .await
            .unwrap_err();
        assert_eq!(
            reason(&status),
            (Code::NotFound, "UNKNOWN_ADDRESS".into()),
            "{address}"
        );
    }
    let mut directory = DirectoryServiceClient::new(before.channel.clone());
    let lookup = LookupGroupRequest { gid: 1 };
    let status = soon(directory.lookup_group(lookup)).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "NO_STORE".into())
    );

    let folder = TempDir::new().unwrap();
    let server = serve(&backend, &sqlite(&folder));
    let mut clients = Clients::of(&server).await;
    clients.delete("old").await.unwrap();
    assert_eq!(mesibo.uid("old"), None);
    clients.gone("old").await;
}

#[tokio::test]
async fn a_user_that_mesibo_lost_is_marked_and_goes_and_one_that_it_lists_comes() {
    let mesibo = Mesibo::default();
    let backend = mesibo.start();
    let folder = TempDir::new().unwrap();
    let server = serve(&backend, &sqlite(&folder));
    let mut clients = Clients::of(&server).await;
    clients.create("erin").await.unwrap();
    mesibo.remove("erin");
    let status = clients.delete("erin").await.unwrap_err();
    let (code, domain, reason, metadata) = told(&status);
    assert_eq!(
        (code, &*domain, &*reason),
        (Code::NotFound, "mesibo.com", "NOUSER")
    );
    assert_eq!(metadata["directory"], "stale");
    assert!(status.message().contains("looked up"), "{status}");
    clients.gone("erin").await;

    mesibo.0.users.lock().unwrap().insert("frank".into(), 7);
    let list = ListUsersRequest::default();
    soon(clients.users.list_users(list)).await.unwrap();
    let entry = clients.in_state("frank", EntryState::Confirmed).await;
    assert_eq!(entry.uid, Some(7));
}

#[tokio::test]
async fn a_database_that_does_not_answer_makes_no_write_fail() {
    let mesibo = Mesibo::default();
    let backend = mesibo.start();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.db");
    let store = format!("sqlite:{}", file.display());
    let settings = [
        "--store",
        &*store,
        "--store-timeout",
        "100ms",
        "--directory-lookup-interval",
        "50ms",
    ];
    let server = Process::serve(&backend.url(), &settings);
    let mut clients = Clients::of(&server).await;
    let lock = crate::store::locked(&folder);
    let uid = clients.create("grace").await.unwrap();
    drop(lock);
    let entry = clients.in_state("grace", EntryState::Confirmed).await;
    assert_eq!(entry.uid, Some(uid));
}

#[tokio::test]
async fn a_page_token_holds_for_its_query_alone() {
    let mesibo = Mesibo::default();
    let backend = mesibo.start();
    let folder = TempDir::new().unwrap();
    let server = serve(&backend, &sqlite(&folder));
    let mut clients = Clients::of(&server).await;
    for address in ["h1", "h2", "h3"] {
        clients.create(address).await.unwrap();
    }
    let first = SearchUsersRequest {
        address_prefix: Some("h".into()),
        page_size: 2,
        ..SearchUsersRequest::default()
    };
    let page = soon(clients.directory.search_users(first.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.users.len(), 2);
    let next = SearchUsersRequest {
        page_token: page.next_page_token,
        page_size: 1,
        ..first
    };
    let last = soon(clients.directory.search_users(next.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((last.users.len(), &*last.next_page_token), (1, ""));
    assert_eq!(last.users[0].address.as_deref(), Some("h3"));
    let wrong = [
        SearchUsersRequest {
            address_prefix: None,
            ..next.clone()
        },
        SearchUsersRequest {
            active: Some(true),
            ..next.clone()
        },
        SearchUsersRequest {
            page_token: "00".into(),
            ..next.clone()
        },
        SearchUsersRequest {
            page_token: "page 2".into(),
            ..next.clone()
        },
        SearchUsersRequest {
            page_size: 1_001,
            ..next.clone()
        },
        SearchUsersRequest {
            address_prefix: Some("h".repeat(1_025)),
            ..next
        },
    ];
    for request in wrong {
        let status = soon(clients.directory.search_users(request))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let both = EditUserRequest {
        uid: 1,
        address: Some("h1".into()),
        active: Some(true),
        ..EditUserRequest::default()
    };
    let neither = EditUserRequest {
        uid: 0,
        address: None,
        ..both.clone()
    };
    for request in [both, neither] {
        let status = soon(clients.users.edit_user(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let no_key = Request::new(LookupUserRequest { key: None });
    let status = soon(clients.directory.lookup_user(no_key))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
