//! Tokens and callers that change while calls run.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{ListUsersRequest, user_service_client::UserServiceClient},
};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    facade::{Bearer, soon},
    get,
    process::command,
    told, write_private,
};

const OLD_TOKEN: &str = "s3ntinel-old";
const NEW_TOKEN: &str = "s3ntinel-new";

/// Puts a file in the place of another, all at once.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    write_private(&new, content);
    fs::rename(&new, path).unwrap();
}

/// A server with a token file, and with settings and metrics.
fn serve(directory: &TempDir, backend: &Backend, settings: &str) -> Process {
    let [token, config] = ["token", "config"].map(|name| directory.path().join(name));
    write_private(&token, OLD_TOKEN);
    write_private(&config, settings);
    let mut command = command(&["serve", "--upstream-url", &backend.url()]);
    command
        .args(["--metrics-listen", "127.0.0.1:0"])
        .env("MESIBO_APP_TOKEN_FILE", token)
        .env("MESIBO_GRPC_CONFIG", config);
    Process::start(command)
}

async fn list(channel: &Channel, key: &'static str) -> Result<(), Status> {
    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(key));
    users
        .list_users(ListUsersRequest::default())
        .await
        .map(drop)
}

async fn reloads(server: &Process, kind: &str, outcome: &str) -> u64 {
    let metrics = get(server.logged_address("metrics="), "/metrics").await;
    let name = format!("mesibo_grpc_reloads_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap().parse().unwrap()
}

async fn reloaded(server: &Process, kind: &str, outcome: &str, count: u64) {
    soon(async {
        while reloads(server, kind, outcome).await < count {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_is_rotated_without_a_failed_call() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &backend, "");
    let channel = server.channel().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let (channel, done) = (channel.clone(), Arc::clone(&done));
        calls.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                list(&channel, "").await.unwrap();
            }
        });
    }

    soon(backend.got(100)).await;
    let token = directory.path().join("token");
    replace(&token, NEW_TOKEN);
    reloaded(&server, "token", "ok", 1).await;
    // What is no token leaves the old one in force.
    replace(&token, "not one s3ntinel\n");
    reloaded(&server, "token", "failed", 1).await;
    fs::remove_file(&token).unwrap();
    reloaded(&server, "token", "failed", 2).await;
    done.store(true, Ordering::Relaxed);
    calls.join_all().await;

    let requests = backend.requests();
    let tokens: Vec<_> = requests.iter().map(|r| r.get("token").unwrap()).collect();
    let first_new = tokens.iter().position(|&token| token == NEW_TOKEN).unwrap();
    // Calls that run side by side may arrive in another order than they began.
    let (old, new) = tokens.split_at((first_new + 8).min(tokens.len()));
    assert_eq!(old[0], OLD_TOKEN);
    assert!(!new.is_empty() && new.iter().all(|&token| token == NEW_TOKEN));
    let errors = server
        .log()
        .matches("the previous ones stay in force")
        .count();
    assert_eq!(errors, 2);
}

/// Settings with these callers and the hashes of their keys.
fn callers(callers: &[(&str, &str)]) -> String {
    let tables = callers.iter().map(|(name, key)| {
        let hash = KeyHash::of(key.as_bytes());
        format!("[callers.{name}]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n")
    });
    tables.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn callers_come_and_go_and_a_broken_file_changes_nothing() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &backend, &callers(&[("orders", "s3ntinel-1")]));
    let channel = server.channel().await;
    let refused = async |key| told(&list(&channel, key).await.unwrap_err()).2;
    list(&channel, "s3ntinel-1").await.unwrap();
    assert_eq!(refused("s3ntinel-2").await, "INVALID_KEY");

    let config = directory.path().join("config");
    let both = callers(&[("orders", "s3ntinel-1"), ("billing", "s3ntinel-2")]);
    replace(&config, &both);
    reloaded(&server, "callers", "ok", 1).await;
    list(&channel, "s3ntinel-1").await.unwrap();
    list(&channel, "s3ntinel-2").await.unwrap();

    // Each is wrong. The third is cut short, and would give a caller more than the whole
    // file, and the last would let everyone in.
    let hash = KeyHash::of(b"s3ntinel-3");
    let cut = format!("[callers.x]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]");
    let broken = [
        "[callers\n",
        "[callers.x]\nkeys = [\"s3ntinel-3\"]\n",
        &cut,
        "",
    ];
    for (failed, broken) in broken.into_iter().enumerate() {
        replace(&config, broken);
        reloaded(&server, "callers", "failed", failed as u64 + 1).await;
        list(&channel, "s3ntinel-2").await.unwrap();
        assert_eq!(refused("s3ntinel-3").await, "INVALID_KEY");
        let status = list(&server.channel().await, "").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    for mistake in [
        "config: expected TOML: unclosed table",
        "callers.x.keys: expected the hash of a key",
        "config: expected a newline at the end, without which the file may be incomplete",
        "callers: expected at least one, as before",
    ] {
        assert!(server.log().contains(mistake), "{}", server.log());
    }

    let settings = format!(
        "shutdown-grace = \"1s\"\n{}",
        callers(&[("billing", "s3ntinel-2")])
    );
    replace(&config, &settings);
    reloaded(&server, "callers", "ok", 2).await;
    list(&channel, "s3ntinel-2").await.unwrap();
    assert_eq!(refused("s3ntinel-1").await, "INVALID_KEY");
    let warning = "settings other than the callers hold from the next start on";
    assert!(server.log().contains(warning));
}
