//! Replies of a backend that take memory.

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use tokio::task::JoinSet;

use super::attacker::{FAR_BELOW, HALF_A_GIGABYTE, limited};
use crate::support::{Answer, Backend, Process, facade::soon};

/// Below the largest reply that is read, in bytes.
const REPLY: usize = 1_000_000;

/// Calls at a time: a tree of each reply took 140 MB.
const CALLS: usize = 8;

/// Linux only, as the memory of a process is in `/proc`.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_hundred_thousand_rows_costs_no_more_than_its_bytes() {
    let rows = "{},".repeat(REPLY / 3);
    let reply = format!(r#"{{"result": true, "users": [{rows}{{}}]}}"#);
    let backend = Backend::always(Answer::ok(reply));
    let args = [
        "--upstream-url",
        &backend.url(),
        "--default-deadline",
        "60s",
    ];
    let mut server = limited(HALF_A_GIGABYTE, &args);
    server.args(["--metrics-listen", "none"]);
    let server = Process::start(server);
    let channel = server.channel().await;
    let before = server.memory();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let mut users = UserServiceClient::new(channel.clone());
        calls.spawn(async move { users.list_users(ListUsersRequest::default()).await });
    }
    while let Some(listed) = soon(calls.join_next()).await {
        let users = listed.unwrap().unwrap().into_inner().users;
        assert_eq!(users.len(), 50);
    }
    let taken = server.peak_memory() - before;
    assert!(taken < FAR_BELOW, "{taken} KiB");
}
