//! The certificates of the gRPC port.

use humantime::format_rfc3339_seconds;

use super::report::{Outcome, Report};
use crate::{
    config::settings,
    server::{Config, net::tls::inspect::inspect},
};

/// Says what the certificate is for, and what clients will not like about it. That the files
/// fit together was checked with the settings.
pub(super) fn check(config: &Config, report: &mut Report) {
    let name = settings::TLS_CERTIFICATE_FILE.name();
    let Some(tls) = &config.tls else {
        let text = format!("none: {} is plaintext", config.listen);
        return report.add(Outcome::Ok, name, text);
    };
    let found = inspect(tls);
    let text = format!(
        "for {}, until {}, with {} above it",
        found.names.join(", "),
        format_rfc3339_seconds(found.not_after),
        found.above
    );
    if !found.names.is_empty() {
        report.add(Outcome::Ok, name, text);
    }
    for problem in found.problems {
        report.add(Outcome::Warning, name, problem);
    }
    for (what, problem) in found.endings {
        report.add(Outcome::Warning, what, problem);
    }
}
