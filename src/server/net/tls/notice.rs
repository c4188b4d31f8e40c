//! Tells of what expires: a metric, and warnings in time.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::format_rfc3339_seconds;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, family::Family, gauge::Gauge},
};
use tokio::time::interval;

use super::{
    Tls,
    expiry::{Expiry, Kind},
};

/// How often [`watch`] looks for what expires soon.
const CHECK_INTERVAL: Duration = Duration::from_hours(24);

/// How long before the end of a certificate [`watch`] begins to warn.
const CERTIFICATE_NOTICE: Duration = Duration::from_hours(14 * 24);

/// How long before the end of a revocation list [`watch`] begins to warn. Many authorities
/// issue lists that live for a day only.
const REVOCATION_LIST_NOTICE: Duration = Duration::from_hours(6);

/// The metric of the files of a [`Tls`], as they are when it is asked for.
#[derive(Debug)]
pub struct ExpiryMetric(pub Tls);

impl Collector for ExpiryMetric {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let family = Family::<[(&str, &str); 1], Gauge>::default();
        for expiry in &self.0.current.load().expiries {
            let since = expiry.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let gauge = family.get_or_create_owned(&[("certificate", label(expiry.kind))]);
            gauge.set(since.as_secs().try_into().unwrap_or(i64::MAX));
        }
        let encoder = encoder.encode_descriptor(
            "certificate_expiry_timestamp_seconds",
            "The end of the first certificate of a file to expire, since the Unix epoch",
            None,
            MetricType::Gauge,
        )?;
        family.encode(encoder)
    }
}

/// Warns now and every day of what expires soon, and never ends.
pub async fn watch(tls: Tls) {
    let mut ticks = interval(CHECK_INTERVAL);
    loop {
        ticks.tick().await;
        for expiry in &tls.current.load().expiries {
            warn_at(SystemTime::now(), expiry);
        }
    }
}

/// Says in the log that an end is near, or has passed.
fn warn_at(now: SystemTime, expiry: &Expiry) {
    if !is_near(now, expiry) {
        return;
    }
    let (what, file) = (label(expiry.kind), &expiry.file);
    let at = format_rfc3339_seconds(expiry.at);
    if expiry.at > now {
        tracing::warn!(what, ?file, %at, "a certificate expires soon: renew it");
    } else {
        tracing::error!(what, ?file, %at, "a certificate has expired: renew it");
    }
}

/// Whether an end is near enough to tell of it, or has passed.
pub(super) fn is_near(now: SystemTime, expiry: &Expiry) -> bool {
    let notice = match expiry.kind {
        Kind::Server | Kind::ClientCa => CERTIFICATE_NOTICE,
        Kind::ClientCrl => REVOCATION_LIST_NOTICE,
    };
    expiry.at <= now + notice
}

/// The label `certificate` of the metric.
fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "server",
        Kind::ClientCa => "client_ca",
        Kind::ClientCrl => "client_crl",
    }
}
