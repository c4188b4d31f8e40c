//! Alerts and dashboard, against what a live server exports to a real Prometheus.

use std::collections::BTreeSet;

use mesibo_grpc::proto::{
    DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient,
};
use serde_json::Value;

use super::{
    at, document, list, operations, path, printed,
    prometheus::{PACKAGE, Prometheus},
    read, text, tool,
};
use crate::{
    support::{Answer, Backend},
    tls::Secured,
};

const DASHBOARD: &str = "grafana/mesibo-grpc.json";
const RULES: &str = "prometheus/rules.yaml";

/// What an operator replaces by the address of a copy of the documents.
const EXAMPLE: &str = "https://docs.example.com/";

/// What Grafana puts into expressions.
const VARIABLES: [(&str, &str); 3] = [
    ("$__rate_interval", "1m"),
    ("$instance", ".*"),
    ("$app", ".*"),
];

fn rules() -> Vec<Value> {
    list(&document(RULES), "/groups/0/rules").to_vec()
}

/// The expressions of a rule that give series also when all is well: what it compares.
fn operands(rule: &Value) -> Vec<String> {
    let expression = text(rule, "/expr")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let expression = expression.replace("absent(", "(");
    let mut operands = vec![expression.as_str()];
    for operator in [" and ", " > ", " < ", " == "] {
        operands = operands
            .into_iter()
            .flat_map(|part| part.split(operator))
            .collect();
    }
    let is_number = |part: &&str| part.chars().all(|c| "0123456789. *".contains(c));
    let mut operands: Vec<_> = operands.into_iter().map(str::to_owned).collect();
    operands.retain(|part| !is_number(&part.as_str()));
    operands
}

/// The panels of the dashboard that show something.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = list(&dashboard, "/panels").iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

/// The labels that a text refers to, by what comes before and behind them.
fn labels(text: &str, before: &str, behind: &[char]) -> BTreeSet<String> {
    let found = text.split(before).skip(1);
    found
        .map(|rest| rest[..rest.find(behind).unwrap()].trim().to_owned())
        .collect()
}

/// The labels that an expression asks for, each with the values that it names.
fn matchers(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut matchers = Vec::new();
    for selector in expression.split('{').skip(1) {
        let selector = &selector[..selector.find('}').unwrap()];
        for matcher in selector
            .split("\",")
            .map(|matcher| matcher.trim().trim_end_matches('"'))
        {
            let (label, value) = matcher.split_once('"').unwrap();
            let label = label.trim_end_matches(['=', '~', '!']);
            // A value with a point in it is a pattern.
            let values = value.split('|').filter(|value| !value.contains('.'));
            matchers.push((label.to_owned(), values.map(Into::into).collect()));
        }
    }
    matchers
}

/// Asserts that an expression gives series, that they have the labels that a text about
/// them refers to, and that all that it asks for is there.
async fn assert_shown(prometheus: &Prometheus, expression: &str, referred: &BTreeSet<String>) {
    let series = prometheus.query(expression).await;
    assert!(!series.is_empty(), "{expression} gives nothing");
    for label in referred {
        let all = series
            .iter()
            .all(|series| series["metric"].get(label).is_some());
        assert!(all, "{expression} has no {label}: {series:?}");
    }
    for (label, values) in matchers(expression) {
        let there = prometheus.api(&format!("label/{label}/values")).await;
        let there = there.as_array().unwrap();
        for value in values {
            let found = there.iter().any(|there| *there == *value);
            assert!(
                found,
                "{expression}: there is no {label} {value} among {there:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_finds_its_metrics_in_a_live_server() {
    let backend = Backend::scripted(|request| match request.get("op") {
        Some("usersget") => Answer::ok(r#"{"op": "usersget", "result": true, "users": []}"#),
        _ => Answer::ok(r#"{"op": "userdel", "result": false, "error": "NOUSER"}"#),
    });
    let server = Secured::serve(&backend, &[]);
    let Some(prometheus) = Prometheus::start(server.metrics()) else {
        return;
    };
    prometheus.has("up == 1").await;
    let mut users = UserServiceClient::new(server.channel().await);
    for _ in 0..2 {
        users.list_users(ListUsersRequest::default()).await.unwrap();
    }
    users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await
        .unwrap_err();
    prometheus
        .has(r#"rate(grpc_server_handled_total{grpc_code="NotFound"}[1m]) > 0"#)
        .await;

    for rule in rules() {
        let referred = labels(text(&rule, "/annotations/summary"), "$labels.", &[' ', '}']);
        for operand in operands(&rule) {
            assert_shown(&prometheus, &operand, &referred).await;
        }
    }
    for panel in panels() {
        for target in list(&panel, "/targets") {
            let mut expression = text(target, "/expr").to_owned();
            for (variable, value) in VARIABLES {
                expression = expression.replace(variable, value);
            }
            let referred = labels(text(target, "/legendFormat"), "{{", &['}']);
            assert_shown(&prometheus, &expression, &referred).await;
        }
    }

    // All rules have been evaluated, without an error, and none has anything to say.
    for rule in prometheus.evaluated_rules().await {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "{rule}");
    }
}

#[test]
fn promtool_finds_nothing_wrong_and_the_alerts_fire_when_they_should() {
    for (check, file) in [
        (["check", "rules"], RULES),
        (["check", "config"], "prometheus/prometheus.yaml"),
        (["test", "rules"], "prometheus/rules.test.yaml"),
    ] {
        let Some(mut promtool) = tool("promtool", &check, PACKAGE) else {
            return;
        };
        printed(promtool.arg(path(file)));
    }
}

#[test]
fn every_alert_is_tested_both_ways_and_has_a_section_in_the_document() {
    let tests = document("prometheus/rules.test.yaml");
    let cases: Vec<_> = list(&tests, "/tests")
        .iter()
        .flat_map(|test| list(test, "/alert_rule_test"))
        .collect();
    let operations = operations();
    assert!(operations.contains(&format!("sed --in-place 's|{EXAMPLE}|")));
    for rule in rules() {
        let alert = text(&rule, "/alert");
        for fires in [true, false] {
            let is_tested = cases.iter().any(|case| {
                case["alertname"] == alert && case.get("exp_alerts").is_some() == fires
            });
            assert!(is_tested, "{alert} has no test that it fires: {fires}");
        }
        let section = format!("operations.md#{}", alert.to_lowercase());
        let runbook = text(&rule, "/annotations/runbook_url");
        assert_eq!(runbook.strip_prefix(EXAMPLE), Some(section.as_str()));
        assert!(operations.contains(&format!("### {alert}\n")), "{alert}");
        assert!(["warning", "critical"].contains(&text(&rule, "/labels/severity")));
    }
}

#[test]
fn the_dashboard_is_tied_to_no_installation_and_its_panels_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert_eq!(dashboard.get("uid"), None);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in list(&dashboard, "/panels") {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{}", panel["title"]);
        }
    }
    for panel in panels() {
        for source in [&panel].into_iter().chain(list(&panel, "/targets")) {
            assert_eq!(at(source, "/datasource/uid"), "${datasource}");
        }
    }
}
