//! Callers and apps that nobody can use, or that reach more than they can be meant to.

use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use super::report::{Outcome, Report};
use crate::{
    access::Caller,
    call::Policy,
    config::{Config, apps::AppConfig},
};

const MESSAGES: &str = "mesibo.v1.MessageService/";
const USERS: &str = "mesibo.v1.UserService/";
const LIST_USERS: &str = "mesibo.v1.UserService/ListUsers";

/// Looks at each caller, and at each app.
pub(super) fn check(config: &Config, report: &mut Report) {
    if config.callers.is_empty() {
        let text = format!(
            "none: who reaches {} may call everything",
            config.server.listen
        );
        return report.add(Outcome::Ok, "callers", text);
    }
    for caller in &config.callers {
        let name = format!("callers.{}", caller.name);
        let problems = problems(caller, config, SystemTime::now());
        if problems.is_empty() {
            report.add(Outcome::Ok, &name, summary(caller));
        }
        for problem in problems {
            report.add(Outcome::Warning, &name, problem);
        }
    }
    for app in &config.apps {
        let name = &app.upstream.app;
        if !config.callers.iter().any(|caller| caller.may_use(name)) {
            let text = "no caller may use it: name it in the apps of one, or take it out";
            report.add(Outcome::Warning, format_args!("apps.{name}"), text);
        }
    }
}

fn summary(caller: &Caller) -> String {
    let count = caller.may_call.iter().flatten().count();
    let known_by = caller.keys.len() + caller.certificates.len();
    format!("may make {count} RPCs, and is known by {known_by} keys and certificates")
}

fn problems(caller: &Caller, config: &Config, now: SystemTime) -> Vec<String> {
    let mut problems = Vec::new();
    endings(caller, now, &mut problems);
    let calls = |prefix: &str| {
        let mut rpcs = caller.may_call.iter().flatten();
        rpcs.any(|rpc| rpc.starts_with(prefix))
    };
    let all = Policy::of_contract().all(|policy| caller.may_call(policy.name()));
    if all && caller.rate.is_none() {
        problems.push(
            "may make every call, as often as it likes: name its RPCs in may-call, or give it a \
             rate"
                .into(),
        );
    }
    if caller.from_addresses.is_some() && !calls(MESSAGES) {
        problems.push("from-addresses limits nothing: may-call has no RPC that sends".into());
    }
    if caller.app_ids.is_some() && !calls(USERS) {
        problems.push("app-ids limits nothing: may-call has no RPC of users".into());
    }
    if caller.read_tokens && !calls(LIST_USERS) {
        problems.push("read-tokens allows nothing: may-call lacks ListUsers".into());
    } else if caller.read_tokens && caller.app_ids.is_none() {
        problems.push(
            "read-tokens without app-ids: it reads tokens that log in every user of its apps"
                .into(),
        );
    }
    let is_alone = config.callers.len() == 1;
    let takes_all = |app: &&AppConfig| {
        let share = caller.max_in_flight.map_or(0, Into::into);
        caller.may_use(&app.upstream.app) && share >= app.upstream.max_in_flight
    };
    if let Some(app) = config.apps.iter().find(takes_all)
        && !is_alone
    {
        problems.push(format!(
            "max-in-flight is all that the app {} has: it can keep the other callers out",
            app.upstream.app
        ));
    }
    problems
}

/// Keys that are no longer valid: a caller without another one cannot call.
fn endings(caller: &Caller, now: SystemTime, problems: &mut Vec<String>) {
    let over: Vec<_> = caller
        .keys
        .iter()
        .filter_map(|key| Some((key, key.not_after.filter(|end| *end < now)?)))
        .collect();
    if !over.is_empty() && over.len() == caller.keys.len() && caller.certificates.is_empty() {
        problems.push("nobody can call as it: the last of its keys has ended".into());
    }
    for (key, end) in over {
        problems.push(format!(
            "the key {} ended at {}: take it out, or give it a later not-after",
            key.hash.id(),
            format_rfc3339_seconds(end)
        ));
    }
}
