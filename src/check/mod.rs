//! Checks of a deployment: all that `serve` does before it serves, by the same code and
//! without a port, and what it would start with although nobody can want it.
//!
//! - [`report`]: what was found, for people and for programs
//! - `cause`: why a connection failed
//! - `certificates`, `callers`, `upstream`: the checks of one thing each
//!
//! Nothing is made or changed: no file of the audit or of a store, no schema.

mod callers;
pub(crate) mod cause;
mod certificates;
pub mod report;
mod upstream;

use std::sync::Arc;

use rlimit::Resource;

use crate::{
    call::Apps,
    config::{Config, Mistakes, settings},
    facade,
    server::client_connections,
    store::{self, Location, OpenError, Schema},
    telemetry::{self, audit},
};
use report::{Outcome, Report};

/// Checks what these settings would serve. Settings with mistakes are told with each of
/// them; what depends on them cannot be checked then. `online` makes one call to Mesibo for
/// each app, which changes nothing.
pub async fn check(settings: Result<Config, Mistakes>, online: bool) -> Report {
    let mut report = Report::default();
    let config = match settings {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes.iter() {
                report.add_line(Outcome::Wrong, mistake);
            }
            return report;
        }
    };
    report.add(Outcome::Ok, "settings", place(&config));
    for warning in &config.warnings {
        report.add_line(Outcome::Warning, warning);
    }
    certificates::check(&config.server, &mut report);
    callers::check(&config, &mut report);
    check_connections(&config, &mut report);
    check_audit(&config, &mut report);
    check_traces(&mut report);
    check_store(&config, &mut report).await;
    upstream::check_proxy(&config, &mut report).await;

    let patience = config.server.deadlines.default;
    let tokens = config.apps.iter().map(upstream::Token::of).collect();
    if let Some(apps) = rehearse(config, &mut report)
        && online
    {
        upstream::ask(&apps, tokens, patience, &mut report).await;
    }
    report
}

fn place(config: &Config) -> String {
    let file = config.caller_file.as_ref();
    let from = file.map_or("no settings file".to_owned(), |file| file.path().to_owned());
    format!(
        "from {from}, flags and environment variables, to serve on {}",
        config.server.listen
    )
}

/// Does what remains of a start, once the settings were read.
fn rehearse(config: Config, report: &mut Report) -> Option<Arc<Apps>> {
    facade::rehearse(config)
        .map_err(|mistake| report.add_line(Outcome::Wrong, &mistake))
        .ok()
}

fn check_connections(config: &Config, report: &mut Report) {
    let name = settings::MAX_CONNECTIONS.name();
    let wanted = config.server.limits.max_connections;
    // To which `serve` raises the soft limit.
    let open_files = Resource::NOFILE.get_hard().unwrap_or(u64::MAX);
    let allowed = client_connections(wanted, open_files);
    if allowed < wanted {
        let text = format!(
            "{wanted} are wanted, and the limit of {open_files} open files allows {allowed}: \
             raise it, with LimitNOFILE= of systemd for example"
        );
        report.add(Outcome::Warning, name, text);
    } else {
        report.add(
            Outcome::Ok,
            name,
            format!("{wanted} fit into the limit of open files"),
        );
    }
}

fn check_audit(config: &Config, report: &mut Report) {
    let name = settings::AUDIT_LOG.name();
    match audit::probe(&config.audit.to) {
        Ok(text) => report.add(Outcome::Ok, name, text),
        Err(mistake) => report.add(Outcome::Wrong, name, mistake),
    }
}

fn check_traces(report: &mut Report) {
    match telemetry::probe_traces() {
        Ok(false) => {}
        Ok(true) => report.add(
            Outcome::Ok,
            "traces",
            "can be sent to where OTEL_EXPORTER_OTLP_ENDPOINT says",
        ),
        Err(error) => report.add(Outcome::Wrong, "traces", format!("cannot be sent: {error}")),
    }
}

async fn check_store(config: &Config, report: &mut Report) {
    let name = settings::STORE.name();
    let location = &config.store.location;
    if *location == Location::Memory {
        let text = "memory: a repeat after a restart, or at another replica, is sent again";
        return report.add(Outcome::Ok, name, text);
    }
    match store::inspect(&config.store).await {
        Ok(Schema::Current) => {
            report.add(
                Outcome::Ok,
                name,
                format!("{location} has the schema of this program"),
            );
        }
        Ok(Schema::Older) => {
            let text = format!("{location} has an older schema: serve migrates it at its start");
            report.add(Outcome::Ok, name, text);
        }
        Ok(Schema::Missing) => {
            let text = format!("{location} has no schema yet: serve makes it at its start");
            report.add(Outcome::Ok, name, text);
        }
        Err(error @ OpenError::Unreachable(_)) => {
            report.add(Outcome::Unavailable, name, format!("{location}: {error}"));
        }
        Err(error) => report.add(Outcome::Wrong, name, format!("{location}: {error}")),
    }
}
