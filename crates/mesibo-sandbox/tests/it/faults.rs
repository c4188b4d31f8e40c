//! Faults, as an HTTP client meets them.

use std::time::Instant;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Running, json, status};

const SEND: &str = "op=message&from=alice&to=bob&msg=hi";

/// A sandbox with two users and these rules.
async fn broken(rules: Value) -> Running {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice", "bob"]).await;
    sandbox.put("/sandbox/faults", &rules).await;
    sandbox
}

async fn sent(sandbox: &Running) -> Value {
    sandbox.get("/sandbox/messages").await["total"].clone()
}

async fn last(sandbox: &Running) -> Value {
    sandbox
        .get("/sandbox/requests?order=desc&page_size=1")
        .await["requests"][0]
        .clone()
}

#[tokio::test]
async fn an_error_code_is_replied_and_nothing_is_carried_out() {
    let sandbox = broken(json!([{ "op": "message", "error": "NOCREDIT", "times": 1 }])).await;
    assert_eq!(sandbox.error(SEND).await, "NOCREDIT");
    let record = last(&sandbox).await;
    assert_eq!(
        (&record["outcome"], &record["error"]),
        (&json!("faulted"), &json!("NOCREDIT"))
    );
    assert_eq!(
        record["fault"],
        json!({ "rule": "1", "effect": "error NOCREDIT" })
    );
    assert_eq!(sent(&sandbox).await, 0);
    sandbox.ok(SEND).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn an_empty_error_code_is_a_failure_without_one() {
    let sandbox = broken(json!([{ "error": "" }])).await;
    let reply = json(sandbox.op(SEND)).await;
    assert_eq!(reply, json!({ "op": "message", "result": false }));
    sandbox.stop().await;
}

#[tokio::test]
async fn an_http_status_comes_with_retry_after_or_a_location() {
    let sandbox = broken(json!([
        { "status": 503, "retry_after": "1500ms", "times": 1 },
        { "status": 307, "location": "http://127.0.0.1:1/", "times": 1 },
        { "status": 302, "times": 1 },
    ]))
    .await;
    let response = sandbox.op(SEND).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "2");
    let response = sandbox.op(SEND).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(response.headers()["location"], "http://127.0.0.1:1/");
    let response = sandbox.op(SEND).send().await.expect("a response");
    assert_eq!(response.headers()["location"], "/elsewhere");
    assert_eq!(sent(&sandbox).await, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_connection_is_closed_before_after_or_midway() {
    for (close, count) in [("before", 0), ("after", 1), ("midway", 1)] {
        let sandbox = broken(json!([{ "op": "message", "close": close }])).await;
        let answered = match sandbox.op(SEND).send().await {
            Ok(response) => {
                assert_eq!(close, "midway");
                response.text().await
            }
            Err(error) => Err(error),
        };
        assert!(answered.is_err(), "{close}: {answered:?}");
        assert_eq!(sent(&sandbox).await, count, "{close}");
        let record = last(&sandbox).await;
        assert_eq!(record["status"].is_null(), close != "midway", "{record}");
        let outcome = if count == 0 { "faulted" } else { "done" };
        assert_eq!(record["outcome"], outcome);
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_malformed_reply_answers_what_was_carried_out() {
    for (kind, count) in [
        ("html", 1),
        ("truncated", 2),
        ("empty", 3),
        ("too_large", 4),
        ("incomplete", 5),
    ] {
        let sandbox = broken(json!([{ "op": "message", "malformed": kind }])).await;
        for _ in 0..count {
            let response = sandbox.op(SEND).send().await.expect("a response");
            assert_eq!(response.status(), StatusCode::OK);
            let text = response.text().await.expect("a body");
            let fits = match kind {
                "html" => text.starts_with("<!doctype html>"),
                "truncated" => text.starts_with('{') && !text.ends_with('}'),
                "empty" => text.is_empty(),
                "too_large" => text.len() > 2 * 1024 * 1024,
                _ => text == r#"{"op":"message","result":true}"#,
            };
            assert!(fits, "{kind}: {text:.100}");
        }
        assert_eq!(sent(&sandbox).await, count, "{kind}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_delay_comes_before_the_request_is_carried_out_and_a_slow_reply_after() {
    let sandbox = broken(json!([{ "op": "message", "delay": "30s", "times": 1 }])).await;
    // A client that does not wait: what it asked for is not carried out.
    let asked = sandbox.op(SEND);
    let impatient = asked
        .timeout(std::time::Duration::from_millis(200))
        .send()
        .await;
    assert!(impatient.expect_err("no patience").is_timeout());
    let abandoned = sandbox
        .get("/sandbox/requests?outcome=abandoned&wait=30s")
        .await;
    assert_eq!(abandoned["total"], 1);
    assert_eq!(sent(&sandbox).await, 0);

    sandbox
        .put(
            "/sandbox/faults",
            &json!([{ "op": "message", "slow": "30s" }]),
        )
        .await;
    let response = sandbox.op(SEND).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(sent(&sandbox).await, 1);
    drop(response);

    sandbox
        .put(
            "/sandbox/faults",
            &json!([{ "op": "message", "slow": "100ms" }]),
        )
        .await;
    let begun = Instant::now();
    assert_eq!(json(sandbox.op(SEND)).await["result"], true);
    assert!(begun.elapsed().as_millis() >= 90, "{:?}", begun.elapsed());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_rate_limit_answers_429_with_the_time_to_wait() {
    let rule = json!([{ "op": "message", "rate_limit": { "requests": 2, "per": "1h" } }]);
    let sandbox = broken(rule).await;
    sandbox.ok(SEND).await;
    sandbox.ok(SEND).await;
    let response = sandbox.op(SEND).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_magic_address_needs_no_rule() {
    let sandbox = broken(json!([])).await;
    let to = |address: &str| format!("op=message&from=alice&to={address}&msg=hi");
    assert_eq!(
        sandbox.error(&to("fault-error-NOCREDIT@example.com")).await,
        "NOCREDIT"
    );
    let status = status(sandbox.op(&to("fault-status-503"))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let fault = &last(&sandbox).await["fault"];
    assert_eq!(*fault, json!({ "rule": null, "effect": "HTTP status 503" }));
    // One that is carried out is an address like any other.
    assert_eq!(sandbox.error(&to("fault-delay-1ms")).await, "NOUSER");
    sandbox
        .ok("op=useradd&addr=fault-delay-1ms&appid=demo")
        .await;
    sandbox.ok(&to("fault-delay-1ms")).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_rule_for_an_address_hits_operations_on_its_user() {
    let sandbox = broken(json!([{ "address": "bob", "error": "MINE" }])).await;
    assert_eq!(sandbox.error("op=userset&uid=5303&active=0").await, "MINE");
    sandbox.ok("op=userset&uid=5302&active=0").await;
    sandbox.stop().await;
}

#[tokio::test]
async fn rules_are_added_shown_and_deleted_by_their_ids() {
    let sandbox = broken(json!([{ "id": "first", "error": "FIRST", "op": "userset" }])).await;
    let rule = json!({ "op": "message", "status": 500, "every": 2 });
    let added = sandbox.send(Method::POST, "/sandbox/faults", &rule).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    let id = added.json::<Value>().await.unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    sandbox.ok(SEND).await;
    assert_eq!(
        status(sandbox.op(SEND)).await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    let shown = sandbox.get(&format!("/sandbox/faults/{id}")).await;
    assert_eq!((&shown["matched"], &shown["hits"]), (&json!(2), &json!(1)));
    sandbox.delete(&format!("/sandbox/faults/{id}")).await;
    let listed = sandbox.get("/sandbox/faults").await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    sandbox.put("/sandbox/faults", &listed).await;
    sandbox.delete("/sandbox/faults").await;
    assert_eq!(sandbox.get("/sandbox/faults").await, json!([]));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wrong_rule_is_refused_with_what_is_allowed_and_the_others_stay() {
    let sandbox = broken(json!([{ "id": "old", "error": "OLD" }])).await;
    for (rules, wrong) in [
        (json!({}), "the body does not fit: invalid type: map"),
        (
            json!([{ "opp": "message" }]),
            "the body does not fit: unknown field `opp`",
        ),
        (
            json!([{ "delay": "soon" }]),
            "the body does not fit: \"soon\" is no duration",
        ),
        (
            json!([{ "close": "later" }]),
            "the body does not fit: unknown variant `later`",
        ),
        (
            json!([{ "every": 0, "error": "X" }]),
            "the body does not fit: invalid value",
        ),
        (
            json!([{ "status": 200 }]),
            "rule 1: 200 is no status from 300 to 599",
        ),
    ] {
        let refused = sandbox.send(Method::PUT, "/sandbox/faults", &rules).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let error: Value = refused.json().await.unwrap();
        assert!(
            error["error"].as_str().unwrap().starts_with(wrong),
            "{error}"
        );
        assert_eq!(sandbox.get("/sandbox/faults").await[0]["id"], "old");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn nothing_listens_during_an_outage_and_everything_is_there_afterwards() {
    let sandbox = broken(json!([])).await;
    let wrong = sandbox
        .send(Method::POST, "/sandbox/outage", &json!({ "for": "11m" }))
        .await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let told = sandbox
        .send(Method::POST, "/sandbox/outage", &json!({ "for": "1s" }))
        .await;
    assert_eq!(told.status(), StatusCode::ACCEPTED);
    let begun = Instant::now();
    let mut refused = 0;
    while let Err(error) = sandbox.op("op=usersget").send().await {
        refused += usize::from(error.is_connect());
        assert!(
            begun.elapsed().as_secs() < 30,
            "it did not come back: {error}"
        );
        tokio::task::yield_now().await;
    }
    assert!(refused > 0);
    assert_eq!(sandbox.get("/sandbox/users").await["total"], 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_file_of_rules_is_read_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.json");
    std::fs::write(&file, r#"[{ "op": "usersget", "error": "FROMFILE" }]"#).unwrap();
    let sandbox = Running::with(|builder| builder.faults_file(&file)).await;
    assert_eq!(sandbox.error("op=usersget").await, "FROMFILE");
    sandbox.stop().await;

    std::fs::write(
        &file,
        "[\n{ \"op\": \"message\", \"delay\": \"1s\" },\n{ \"op\": \"usersget\" }\n]",
    )
    .unwrap();
    let builder = mesibo_sandbox::Sandbox::builder().faults_file(&file);
    let error = builder
        .bind()
        .await
        .err()
        .expect("a wrong rule")
        .to_string();
    assert!(
        error.contains("faults.json: rule 2: it needs an effect"),
        "{error}"
    );
    let missing = mesibo_sandbox::Sandbox::builder().faults_file(folder.path().join("none"));
    let error = missing.bind().await.err().expect("no file").to_string();
    assert!(error.ends_with("none: no such file"), "{error}");
}

#[tokio::test]
async fn every_recipe_that_has_a_rule_is_a_good_one() {
    let sandbox = Running::start().await;
    let recipes = sandbox.get("/sandbox/recipes").await;
    let recipes = recipes.as_array().expect("a list");
    assert!(recipes.len() > 20);
    for recipe in recipes {
        assert!(
            recipe["happens"].is_string() && recipe["status"].is_string(),
            "{recipe}"
        );
        let (rule, how) = (&recipe["rule"], &recipe["how"]);
        assert!(rule.is_object() || how.is_string(), "{recipe}");
        if rule.is_object() {
            sandbox.post("/sandbox/faults", rule).await;
        }
    }
    sandbox.stop().await;
}
