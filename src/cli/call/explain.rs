//! A failure in words: what failed and who says so, what to do, and whether the call may be
//! made again.

use std::{error::Error, iter::successors, time::Duration};

use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt as _};
use url::Url;

use super::rpc;
use crate::{
    call::{Policy, policy::Effect},
    cli::{Failure, client::of_connection},
    config::{ClientConfig, settings},
    status::{DOMAIN, MESIBO_DOMAIN, code_name},
};

/// The field that makes a repeat safe.
const REQUEST_ID: &str = "request_id";

/// A call that was made, or could not be.
pub(super) struct Attempt<'a> {
    rpc: &'a MethodDescriptor,
    policy: &'static Policy,
    has_request_id: bool,
    url: &'a Url,
    deadline: Duration,
}

/// What is known of a call that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was not carried out.
    NotDone,
    /// It may have been.
    Unknown,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        rpc: &'a MethodDescriptor,
        requests: &[DynamicMessage],
        client: &'a ClientConfig,
    ) -> Self {
        let has_request_id = |request: &DynamicMessage| request.has_field_by_name(REQUEST_ID);
        Self {
            rpc,
            policy: rpc::policy(rpc),
            has_request_id: requests.iter().all(has_request_id),
            url: &client.server.url,
            deadline: client.deadline,
        }
    }

    /// The failure of a call for which there is no connection.
    pub(super) fn unconnected(&self, why: &str) -> Failure {
        let what = format!("cannot reach {}: {why}", self.url);
        self.failure(Code::Unavailable, &what, &[], Outcome::NotDone)
    }

    /// The failure of a call that ended with a status.
    pub(super) fn failed(&self, status: &Status) -> Failure {
        let details = status.get_error_details();
        let Some(info) = details.error_info() else {
            return self.failed_on_the_way(status);
        };
        let who = match info.domain.as_str() {
            MESIBO_DOMAIN => "Mesibo refuses it",
            DOMAIN => "mesibo-grpc answers",
            _ => "somebody on the way answers",
        };
        let what = format!("{who}, {}: {}", info.reason, status.message());
        let is_unknown = info
            .metadata
            .get("outcome")
            .is_some_and(|it| it == "unknown");
        let is_ours = matches!(info.domain.as_str(), MESIBO_DOMAIN | DOMAIN);
        let outcome = if is_unknown || !is_ours {
            Outcome::Unknown
        } else {
            Outcome::NotDone
        };
        let mut lines = Vec::new();
        if let Some(request) = details.bad_request() {
            for violation in &request.field_violations {
                let (field, allowed) = (&violation.field, &violation.description);
                let reason = match violation.reason.as_str() {
                    "" => String::new(),
                    reason => format!(" ({reason})"),
                };
                lines.push(format!("  {field}: {allowed}{reason}"));
            }
        }
        lines.extend(advice(status.code(), info, &details).map(|it| format!("What to do: {it}.")));
        if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
            lines.push(format!("Wait before the next attempt: {delay:?}."));
        }
        let mut failure = self.lines(&lines, outcome);
        failure.extend(for_the_operator(info, &details));
        Failure::of_call(status.code(), &self.headed(status.code(), &what, failure))
    }

    /// The failure of a call whose status is not of a server of ours: the client made it up,
    /// or something between the two did.
    fn failed_on_the_way(&self, status: &Status) -> Failure {
        let causes = successors(Some(status as &(dyn Error + 'static)), |&it| it.source());
        let is_late = status.code() == Code::Cancelled
            && status.message() == TimeoutExpired(()).to_string()
            || causes.clone().any(<dyn Error>::is::<TimeoutExpired>);
        if is_late {
            let what = format!("there is no answer within {:?}", self.deadline);
            let name = settings::DEADLINE.name();
            let advice =
                format!("What to do: allow it more time with --{name}, or look at the server.");
            return self.failure(Code::DeadlineExceeded, &what, &[advice], Outcome::Unknown);
        }
        let what = of_connection(status, self.url).map_or_else(
            || format!("{}; it does not come from mesibo-grpc", status.message()),
            |why| format!("the connection to {} fails: {why}", self.url),
        );
        self.failure(status.code(), &what, &[], Outcome::Unknown)
    }

    fn failure(&self, code: Code, what: &str, lines: &[String], outcome: Outcome) -> Failure {
        let lines = self.headed(code, what, self.lines(lines, outcome));
        Failure::of_call(code, &lines)
    }

    fn headed(&self, code: Code, what: &str, lines: Vec<String>) -> Vec<String> {
        let head = format!("{}: {}: {what}", self.rpc.name(), code_name(code));
        [vec![head], lines].concat()
    }

    fn lines(&self, lines: &[String], outcome: Outcome) -> Vec<String> {
        let repeat = format!("Safe to repeat: {}.", self.repeat(outcome));
        [lines, &[repeat]].concat()
    }

    /// Whether the call may be made again.
    fn repeat(&self, outcome: Outcome) -> &'static str {
        let (effect, takes_id) = (self.policy.effect, self.policy.takes_request_id);
        match (effect, outcome) {
            (Effect::Read, _) => "yes, it changes nothing",
            _ if self.policy.is_streaming => {
                "items that have an answer are done; of the others, those with a requestId may be \
                 sent again, with the same one"
            }
            (_, Outcome::NotDone) => "yes, nothing was carried out",
            (Effect::RepeatableWrite, Outcome::Unknown) => {
                "yes; it may have been carried out, and a second call changes nothing more"
            }
            (Effect::Write, Outcome::Unknown) if takes_id && self.has_request_id => {
                "yes, with the same requestId: it may have been carried out, and is not carried \
                 out twice"
            }
            (Effect::Write, Outcome::Unknown) if takes_id => {
                "no, it may have been carried out, and a repeat would do it once more: find out \
                 first, and give a requestId next time"
            }
            (Effect::Write, Outcome::Unknown) => {
                "no, it may have been carried out, and a repeat would do it once more: find out \
                 first"
            }
        }
    }
}

/// What to do about a status, where its text does not say it.
fn advice(code: Code, info: &ErrorInfo, details: &ErrorDetails) -> Option<String> {
    let is_ours = info.domain == DOMAIN;
    let text = match code {
        Code::InvalidArgument if details.bad_request().is_some() => "correct these fields".into(),
        Code::Unauthenticated if is_ours => format!(
            "give the caller's key, in the environment variable {} or with --{}",
            settings::KEY.about().env(),
            settings::KEY_FILE.name()
        ),
        Code::Unauthenticated => {
            "tell the operator that the facade needs another application token".into()
        }
        Code::Internal => "tell the operator; the log of the server has more".into(),
        Code::Unavailable => "try it again later".into(),
        _ => return None,
    };
    Some(text)
}

/// What finds the call in the log of the server.
fn for_the_operator(info: &ErrorInfo, details: &ErrorDetails) -> Option<String> {
    let mut facts: Vec<_> = details
        .request_info()
        .map(|request| format!("request id {}", request.request_id))
        .into_iter()
        .collect();
    let mut metadata: Vec<_> = info.metadata.iter().collect();
    metadata.sort_unstable();
    facts.extend(
        metadata
            .into_iter()
            .map(|(key, value)| format!("{key} {value}")),
    );
    (!facts.is_empty()).then(|| format!("For the log: {}.", facts.join(", ")))
}
