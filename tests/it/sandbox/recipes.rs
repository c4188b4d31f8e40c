//! What the page of the sandbox says of each error: its fault brings the error about, for a
//! client of the facade.

use std::{collections::BTreeSet, fs, path::Path};

use mesibo_grpc::proto::{
    CreateUserRequest, CreateUserResponse, user_service_client::UserServiceClient,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{Code, Response, Status, transport::Channel};

use crate::support::{Emulator, Process, facade::soon, told};

/// How many calls are made before a fault that hits some of them is missed.
const CALLS: usize = 20;

async fn create(channel: &Channel) -> Result<Response<CreateUserResponse>, Status> {
    let request = CreateUserRequest {
        address: "alice".into(),
        app_id: "demo".into(),
        ..Default::default()
    };
    UserServiceClient::new(channel.clone())
        .create_user(request)
        .await
}

/// The first failure of a few calls.
async fn failure(channel: &Channel) -> Option<Status> {
    for _ in 0..CALLS {
        if let Err(status) = create(channel).await {
            return Some(status);
        }
    }
    None
}

/// The name of a code, as documents write it.
fn name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn text<'a>(recipe: &'a Value, key: &str) -> &'a str {
    recipe[key].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_page_brings_about_the_error_that_it_names() {
    let named = ["--error-codes", "NOCREDIT=RESOURCE_EXHAUSTED"];
    let patient = Process::sandbox_with(&named);
    let hasty = Process::sandbox_with(&["--default-deadline", "2s"]);
    let emulator = Emulator::new(patient.upstream());
    let recipes = emulator.get("/sandbox/recipes").await;
    let mut seen = BTreeSet::new();
    for recipe in recipes.as_array().unwrap() {
        let (status, reason) = (text(recipe, "status"), text(recipe, "reason"));
        // These take another facade, which their texts describe.
        let takes_more = ["OVERLOADED", "TOO_MANY_IN_FLIGHT", "ANSWER_LOST"];
        if !recipe["rule"].is_object() || takes_more.contains(&reason) {
            continue;
        }
        let sandbox = if status == "DEADLINE_EXCEEDED" {
            &hasty
        } else {
            &patient
        };
        let rules = json!([recipe["rule"]]);
        let emulator = Emulator::new(sandbox.upstream());
        emulator.send(Method::PUT, "/sandbox/faults", &rules).await;
        let failed = failure(&sandbox.channel().await).await;
        let failed = failed.unwrap_or_else(|| panic!("nothing fails by {recipe}"));
        assert_eq!(told(&failed).2, reason, "{recipe}: {failed:?}");
        let expected = match reason {
            "NOCREDIT" => "RESOURCE_EXHAUSTED",
            _ => status,
        };
        let of_failure = name(failed.code());
        let mut codes = expected.split([' ', ',']);
        assert!(codes.any(|code| code == of_failure), "{recipe}: {failed:?}");
        seen.insert(reason.to_owned());
    }
    assert!(seen.len() >= 15, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_first_unreachable_and_then_down() {
    let sandbox = Process::sandbox();
    let emulator = Emulator::new(sandbox.upstream());
    let channel = sandbox.channel().await;
    create(&channel).await.unwrap();
    let outage = json!({ "for": "5m" });
    emulator
        .send(Method::POST, "/sandbox/outage", &outage)
        .await;
    let mut reasons = Vec::new();
    soon(async {
        while reasons.last().is_none_or(|last| last != "UPSTREAM_DOWN") {
            // The port closes a moment after the answer.
            let Err(status) = create(&channel).await else {
                continue;
            };
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            reasons.push(told(&status).2);
        }
    })
    .await;
    assert!(
        reasons.contains(&"UPSTREAM_UNREACHABLE".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_makes_a_facade_with_little_room_overloaded() {
    let flags = [
        "--upstream-max-in-flight",
        "1",
        "--upstream-max-waiting",
        "1",
    ];
    let sandbox = Process::sandbox_with(&flags);
    let emulator = Emulator::new(sandbox.upstream());
    let channel = sandbox.channel().await;
    let rules = json!([{ "delay": "10s" }]);
    emulator.send(Method::PUT, "/sandbox/faults", &rules).await;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let channel = channel.clone();
        calls.spawn(async move { create(&channel).await });
    }
    let first = soon(calls.join_next()).await.unwrap().unwrap();
    let status = first.unwrap_err();
    assert_eq!(
        (status.code(), told(&status).2.as_str()),
        (Code::Unavailable, "OVERLOADED")
    );
}

/// The reasons in the table of errors of the documents.
fn reasons_of_the_table() -> BTreeSet<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let document = fs::read_to_string(document).unwrap();
    let (_, table) = document
        .split_once("| what happened | status | reason |")
        .expect("the table");
    let table = table.split("\n\n").next().unwrap();
    let cells = table
        .lines()
        .filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once("| "));
    cells
        .flat_map(|(_, reasons)| reasons.split('`').skip(1).step_by(2).map(ToOwned::to_owned))
        .collect()
}

#[tokio::test]
async fn the_page_says_of_each_error_in_the_table_how_it_is_brought_about() {
    let sandbox = Process::sandbox();
    let recipes = Emulator::new(sandbox.upstream())
        .get("/sandbox/recipes")
        .await;
    let recipes = recipes.as_array().unwrap().iter();
    let listed: BTreeSet<_> = recipes
        .flat_map(|recipe| text(recipe, "reason").split(", ").map(ToOwned::to_owned))
        .collect();
    let reasons = reasons_of_the_table();
    assert!(reasons.len() > 30, "{reasons:?}");
    let missing: Vec<_> = reasons.difference(&listed).collect();
    assert!(missing.is_empty(), "recipes.json lacks {missing:?}");
}
