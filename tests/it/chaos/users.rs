//! Users that are made, changed and deleted by address while servers are killed: whether the
//! directory has every one of them in the end, and no other.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{
    CreateUserRequest, DeleteUserRequest, EditUserRequest, EntryState, SearchUsersRequest,
    UserEntry, directory_service_client::DirectoryServiceClient,
    user_service_client::UserServiceClient,
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

use super::DEADLINE;
use crate::faults::backend::Faults;

/// How many writes are under way at a time.
const WRITERS: usize = 4;

/// Addresses, few enough for writes of one user to overlap.
const ADDRESSES: usize = 40;

/// The pause of a writer between two writes.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest time until every uncertain user has been looked up: pauses between look-ups
/// that failed grow, and a write that a killed server left has its lease.
const SETTLED: Duration = Duration::from_mins(2);

/// How many writes of each kind came to what.
pub type Counts = BTreeMap<String, usize>;

/// Writes users until it is over.
pub async fn write_until(addresses: &[&str], is_over: impl Fn() -> bool) -> Counts {
    let channels: Vec<_> = addresses.iter().map(|address| lazy(address)).collect();
    let counts = Mutex::default();
    let writers = (0..WRITERS).map(async |_| {
        while !is_over() {
            let channel = fastrand::choice(&channels).expect("there are servers");
            let (kind, written) = write(channel.clone()).await;
            let result = match written {
                Ok(()) => "done",
                Err(status) if status.code() == Code::NotFound => "not found",
                Err(_) => "failed",
            };
            count(&counts, format!("{kind}: {result}"));
            tokio::time::sleep(PAUSE).await;
        }
    });
    futures_util::future::join_all(writers).await;
    counts.into_inner().unwrap()
}

fn count(counts: &Mutex<Counts>, what: String) {
    *counts.lock().unwrap().entry(what).or_default() += 1;
}

/// A channel that connects again whenever its server does.
fn lazy(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_lazy()
}

/// A random write of a random user, by its address.
async fn write(channel: Channel) -> (&'static str, Result<(), Status>) {
    let mut users = UserServiceClient::new(channel);
    let address = format!("user-{}", fastrand::usize(..ADDRESSES));
    match fastrand::u8(..8) {
        0..4 => {
            let create = CreateUserRequest {
                address,
                app_id: "app".into(),
                ..CreateUserRequest::default()
            };
            let created = users.create_user(timed(create)).await;
            ("create", created.map(drop))
        }
        4..6 => {
            let edit = EditUserRequest {
                address: Some(address),
                active: Some(fastrand::bool()),
                ..EditUserRequest::default()
            };
            let edited = users.edit_user(timed(edit)).await;
            ("edit", edited.map(drop))
        }
        _ => {
            let delete = DeleteUserRequest {
                address: Some(address),
                ..DeleteUserRequest::default()
            };
            let deleted = users.delete_user(timed(delete)).await;
            ("delete", deleted.map(drop))
        }
    }
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// The users of the directory, once none is uncertain.
pub async fn settled(channel: &Channel) -> BTreeMap<String, u64> {
    let deadline = Instant::now() + SETTLED;
    loop {
        let users = all(channel).await;
        let mut uncertain = users.iter();
        let Some(one) = uncertain.find(|user| user.state() != EntryState::Confirmed) else {
            let users = users.into_iter();
            return users
                .map(|user| (user.address.unwrap(), user.uid.unwrap()))
                .collect();
        };
        assert!(Instant::now() < deadline, "it stays uncertain: {one:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// All users, in pages that are smaller than their number.
async fn all(channel: &Channel) -> Vec<UserEntry> {
    let mut directory = DirectoryServiceClient::new(channel.clone());
    let mut request = SearchUsersRequest {
        page_size: 7,
        ..SearchUsersRequest::default()
    };
    let mut users = Vec::new();
    loop {
        let page = directory.search_users(request.clone()).await;
        let page = page.unwrap().into_inner();
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            return users;
        }
        request.page_token = page.next_page_token;
    }
}

/// What is in the directory and not at the backend, or the other way round.
pub fn differences(directory: &BTreeMap<String, u64>, faults: &Faults) -> Vec<String> {
    let backend = faults.users();
    let invented = directory
        .iter()
        .filter(|(address, uid)| backend.get(*address) != Some(uid));
    let invented = invented.map(|user| format!("invented: {user:?}"));
    let lost = backend
        .iter()
        .filter(|(address, uid)| directory.get(*address) != Some(uid));
    invented
        .chain(lost.map(|user| format!("lost: {user:?}")))
        .collect()
}
