//! What a server's certificate is for, and what clients will not like about it although the
//! server starts with it.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::format_rfc3339_seconds;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::{Tls, expiry::Kind, notice};

/// What was found in the files that are in force.
#[derive(Debug)]
pub struct Inspection {
    /// The names and addresses that the certificate is for.
    pub names: Vec<String>,
    /// The end of the certificate.
    pub not_after: SystemTime,
    /// How many certificates the file has behind it.
    pub above: usize,
    /// What clients will not like about the certificate and its chain.
    pub problems: Vec<String>,
    /// What has expired or expires soon, each with the setting of its file.
    pub endings: Vec<(&'static str, String)>,
}

/// Looks at the files that are in force.
#[must_use]
pub fn inspect(tls: &Tls) -> Inspection {
    let loaded = tls.current.load();
    let parsed = loaded.chain.iter().filter_map(|certificate| {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(certificate)
    });
    let chain: Vec<_> = parsed.collect();
    let now = SystemTime::now();
    let endings = loaded.expiries.iter();
    let endings = endings.filter(|expiry| notice::is_near(now, expiry));
    let endings = endings.map(|expiry| {
        let verb = if expiry.at < now {
            "expired"
        } else {
            "expires"
        };
        let (file, at) = (expiry.file.display(), format_rfc3339_seconds(expiry.at));
        let text = format!("what is in {file} {verb} at {at}: renew it");
        (setting(expiry.kind), text)
    });
    Inspection {
        names: chain.first().map(names).unwrap_or_default(),
        not_after: chain.first().map_or(UNIX_EPOCH, not_after),
        above: chain.len().saturating_sub(1),
        problems: problems(&chain),
        endings: endings.collect(),
    }
}

fn problems(chain: &[X509Certificate]) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(leaf) = chain.first() {
        if names(leaf).is_empty() {
            problems.push(
                "the certificate has no subject alternative name, and the common name is not one: \
                 clients refuse it"
                    .to_owned(),
            );
        }
        let usage = leaf.extended_key_usage().ok().flatten();
        if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
            problems.push(
                "the certificate is not for servers, by its extended key usage: clients refuse it"
                    .to_owned(),
            );
        }
    }
    for (number, pair) in (1..).zip(chain.windows(2)) {
        if let [one, next] = pair
            && one.issuer() != next.subject()
        {
            problems.push(format!(
                "certificate {} of the file did not issue certificate {number}, which is of {}: \
                 clients may not find the way to their authority",
                number + 1,
                one.issuer()
            ));
        }
    }
    problems
}

/// The subject alternative names.
fn names(certificate: &X509Certificate) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from).ok();
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from).ok();
            v4.or_else(v6).map(|address| address.to_string())
        }
        _ => None,
    });
    names.collect()
}

fn not_after(certificate: &X509Certificate) -> SystemTime {
    let end = certificate.validity().not_after.timestamp();
    UNIX_EPOCH + Duration::from_secs(end.try_into().unwrap_or_default())
}

/// The setting of a file.
fn setting(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "tls-certificate-file",
        Kind::ClientCa => "tls-client-ca-file",
        Kind::ClientCrl => "tls-client-crl-file",
    }
}
