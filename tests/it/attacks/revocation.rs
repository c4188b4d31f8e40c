//! Streams whose callers are shut out while they are open.

use std::{fs, path::Path, time::Duration};

use mesibo_grpc::access::key::KeyHash;
use tokio::time::timeout;
use tonic::Code;

use super::attacker::{Attacker, body, status};
use crate::support::{Process, facade::soon, told};

const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

const THIEF: &str = "mgk_s3ntinel_thief";
const OWNER: &str = "mgk_s3ntinel_owner";

/// Longer than files are left unread.
const A_WHILE: Duration = Duration::from_secs(3);

fn write(file: &Path, keys: &[&str]) {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| format!("\"{}\"", KeyHash::of(key.as_bytes())))
        .collect();
    let keys = keys.join(", ");
    let settings = format!("[callers.orders]\nkeys = [{keys}]\nmay-call = [\"*\"]\n");
    let new = file.with_extension("new");
    fs::write(&new, settings).unwrap();
    fs::rename(&new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_key_is_removed_and_those_of_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.toml");
    write(&file, &[THIEF, OWNER]);
    let config = ["--config", file.to_str().unwrap()];
    let process = Process::serve("http://127.0.0.1:1/", &config);
    let client = Attacker::connect(process.address.parse().unwrap()).await;
    // ServerReflectionRequest.list_services.
    let list = [0, 0, 0, 0, 2, 0x3a, 0];
    let open = async |key: &str| {
        let key = format!("Bearer {key}");
        let headers = [("authorization", key.as_str())];
        let response = client.call(REFLECT, &headers, body(list, false));
        let response = soon(response).await.unwrap();
        assert!(!response.headers().contains_key("grpc-status"));
        response
    };
    let stolen = status(open(THIEF).await);
    let mut own = Box::pin(status(open(OWNER).await));
    let watch = client.call(WATCH, &[], body(vec![0; 5], true)).await;
    let mut watch = Box::pin(status(watch.unwrap()));

    write(&file, &[OWNER]);
    let revoked = soon(stolen).await;
    assert_eq!(told(&revoked).2, "INVALID_KEY");
    assert_eq!(revoked.code(), Code::Unauthenticated);
    // One who is still a caller, and a service that is for everyone.
    let others = async {
        tokio::select! {
            status = &mut own => panic!("{status:?}"),
            status = &mut watch => panic!("{status:?}"),
        }
    };
    assert!(timeout(A_WHILE, others).await.is_err());

    // A caller that is gone altogether.
    write(&file, &["mgk_s3ntinel_new"]);
    assert_eq!(soon(own).await.code(), Code::Unauthenticated);
}
