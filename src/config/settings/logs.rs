//! Logs and metrics.

use std::net::SocketAddr;

use tracing_subscriber::filter::Targets;

use super::{Group, Setting};
use crate::{
    config::values,
    telemetry::{
        Format,
        audit::{AuditTo, OnFailure},
    },
};

pub(crate) const LOG: Setting<Targets> = Setting::new(Group::Logs, "log", "LEVEL", values::log)
    .default("info")
    .common()
    .help(
        "Level of the log: off, error, warn, info, debug or trace, or a list such as \
             warn,mesibo_grpc=debug",
    );

pub(crate) const LOG_FORMAT: Setting<Format> =
    Setting::new(Group::Logs, "log-format", "text|json", values::log_format)
        .default("text")
        .common()
        .help("Format of the log: text for people, or json, an object a line");

pub(crate) const AUDIT_LOG: Setting<AuditTo> =
    Setting::new(Group::Logs, "audit-log", "stderr|FILE", values::audit_to)
        .default("stderr")
        .help("Place of the audit: stderr, or a file, which is opened again on SIGHUP");

pub(crate) const AUDIT_ON_FAILURE: Setting<OnFailure> = Setting::new(
    Group::Logs,
    "audit-on-failure",
    "drop|refuse",
    values::on_failure,
)
.default("drop")
.help(
    "What becomes of a write whose line in the audit cannot be written: drop drops the line, \
     refuse refuses the write",
);

/// `None` serves no metrics.
pub(crate) const METRICS_LISTEN: Setting<Option<SocketAddr>> = Setting::new(
    Group::Logs,
    "metrics-listen",
    "ADDR",
    values::address_or_none,
)
.default("127.0.0.1:9464")
.common()
.help("IP address and port to serve metrics on, at /metrics, for Prometheus; or none");

/// Several sandboxes run side by side on a machine, and nobody monitors them.
pub(crate) const SANDBOX_METRICS_LISTEN: Setting<Option<SocketAddr>> =
    METRICS_LISTEN.default("none");
