//! Keys that end.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::format_rfc3339_seconds;
use mesibo_grpc::{
    access::key::KeyHash,
    proto::{ListUsersRequest, user_service_client::UserServiceClient},
};
use tokio::time::sleep;
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    facade::{Bearer, soon},
    get,
    process::command,
    told,
};

const LASTING: &str = "mgk_s3ntinel_lasting";
const ENDING: &str = "mgk_s3ntinel_ending";
const ENDED: &str = "mgk_s3ntinel_ended";
const WRONG: &str = "mgk_s3ntinel_wrong";

const DAY: Duration = Duration::from_hours(24);

/// Settings of a caller with these keys, by their ends.
fn settings(keys: &[(&str, Option<SystemTime>)]) -> String {
    let keys = keys.iter().map(|(key, end)| {
        let hash = KeyHash::of(key.as_bytes());
        match end {
            None => format!("\"{hash}\""),
            Some(end) => {
                let end = format_rfc3339_seconds(*end);
                format!("{{ hash = \"{hash}\", not-after = \"{end}\" }}")
            }
        }
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    format!("[callers.orders]\nkeys = [{keys}]\nmay-call = [\"*\"]\n")
}

async fn list(channel: &Channel, key: &'static str) -> Result<(), Status> {
    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(key));
    let listed = users.list_users(ListUsersRequest::default()).await;
    listed.map(drop)
}

fn id(key: &str) -> String {
    KeyHash::of(key.as_bytes()).id()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The value of a metric of a key, if it is there.
async fn time_of(server: &Process, metric: &str, key: &str) -> Option<u64> {
    let metrics = get(server.logged_address("metrics="), "/metrics").await;
    let name = format!(
        "mesibo_grpc_key_{metric}_timestamp_seconds{{caller=\"orders\",key=\"{}\"}} ",
        id(key)
    );
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_when_its_settings_say_and_its_metrics_with_it() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    let now = SystemTime::now();
    let end = now + 3 * DAY;
    let keys = [
        (LASTING, None),
        (ENDING, Some(end)),
        (ENDED, Some(now - DAY)),
        ("mgk_s3ntinel_later", Some(now + 30 * DAY)),
    ];
    fs::write(&config, settings(&keys)).unwrap();
    let mut server = command(&["serve", "--upstream-url", &backend.url()]);
    server
        .args(["--metrics-listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .env("MESIBO_APP_TOKEN", "s3ntinel");
    let server = Process::start(server);
    let channel = server.channel().await;

    assert_eq!(time_of(&server, "last_used", ENDING).await, Some(0));
    list(&channel, LASTING).await.unwrap();
    list(&channel, ENDING).await.unwrap();
    let used = time_of(&server, "last_used", ENDING).await.unwrap();
    assert!((seconds(now)..=seconds(now) + 60).contains(&used), "{used}");
    assert_eq!(time_of(&server, "expiry", ENDING).await, Some(seconds(end)));
    assert_eq!(time_of(&server, "expiry", LASTING).await, None);

    // Whether a key was one once is not for its holder to know.
    let status = list(&channel, ENDED).await.unwrap_err();
    let wrong = list(&channel, WRONG).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(told(&status), told(&wrong));
    assert_eq!(status.message(), wrong.message());
    assert_eq!(told(&status).2, "INVALID_KEY");
    let of_key = |text: &str, key: &str| {
        let log = server.log();
        let key = format!("key=\"{}\"", id(key));
        let has = |line: &&str| line.contains(text) && line.contains(&key);
        log.lines().filter(has).count()
    };
    soon(server.logged("a key was used after its not-after")).await;
    // Once, however often it is used.
    list(&channel, ENDED).await.unwrap_err();
    assert_eq!(of_key("a key was used after its not-after", ENDED), 1);
    for (key, expected) in [
        (ENDING, 1),
        (ENDED, 1),
        (LASTING, 0),
        ("mgk_s3ntinel_later", 0),
    ] {
        assert_eq!(of_key("a key ends, or has ended", key), expected, "{key}");
    }

    let new = directory.path().join("new");
    fs::write(&new, settings(&[(LASTING, None)])).unwrap();
    fs::rename(&new, &config).unwrap();
    soon(async {
        while time_of(&server, "expiry", ENDING).await.is_some() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(time_of(&server, "last_used", ENDING).await, None);
    // What stays goes on.
    assert!(time_of(&server, "last_used", LASTING).await.unwrap() >= seconds(now));
    assert_eq!(
        told(&list(&channel, ENDING).await.unwrap_err()).2,
        "INVALID_KEY"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_in_use_ends_in_time() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    // The settings have whole seconds.
    let end = SystemTime::now() + Duration::from_secs(4);
    fs::write(&config, settings(&[(ENDING, Some(end))])).unwrap();
    let config = config.to_str().unwrap();
    let server = Process::serve(&backend.url(), &["--config", config]);
    let channel = server.channel().await;
    list(&channel, ENDING).await.unwrap();
    let refused = async {
        loop {
            if let Err(status) = list(&channel, ENDING).await {
                break status;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(told(&soon(refused).await).2, "INVALID_KEY");
    assert!(SystemTime::now() >= end - Duration::from_secs(1));
}
