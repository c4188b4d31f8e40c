//! Until when certificates and revocation lists are valid.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::format_rfc3339_seconds;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::{
    certificate::X509Certificate, error::X509Error, nom, prelude::FromDer as _,
    revocation_list::CertificateRevocationList, time::ASN1Time,
};

use crate::files::wrong;

/// What expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server's certificate, and those between it and its authority.
    Server,
    /// The authorities of clients.
    ClientCa,
    /// The revocation lists of these authorities.
    ClientCrl,
}

/// The end of validity of what a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) kind: Kind,
    pub(super) file: PathBuf,
    /// The earliest end of all that the file holds.
    pub(super) at: SystemTime,
}

/// When a certificate is valid, RFC 5280, section 4.1.2.5.
pub(super) struct Validity {
    not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Expiry {
    fn earliest(
        kind: Kind,
        file: &Path,
        ends: impl Iterator<Item = Result<SystemTime, String>>,
    ) -> Result<Self, String> {
        let ends = ends
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(file, "what X.509 describes", &error))?;
        Ok(Self {
            kind,
            file: file.into(),
            at: ends.into_iter().min().expect("an empty file is refused"),
        })
    }
}

/// When a certificate is valid.
pub(super) fn validity(certificate: &CertificateDer) -> Result<Validity, String> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    Ok(Validity {
        not_before: time(validity.not_before),
        not_after: time(validity.not_after),
    })
}

/// The first end of validity among the certificates of a file.
pub(super) fn of_certificates(
    kind: Kind,
    file: &Path,
    certificates: &[CertificateDer],
) -> Result<Expiry, String> {
    let ends = certificates
        .iter()
        .map(|certificate| Ok(validity(certificate)?.not_after));
    Expiry::earliest(kind, file, ends)
}

/// The first end of validity among the revocation lists of a file.
///
/// # Errors
///
/// If an authority has no list, for then every client of it would be refused.
pub(super) fn of_revocation_lists(
    file: &Path,
    lists: &[CertificateRevocationListDer],
    authorities: &[CertificateDer],
) -> Result<Expiry, String> {
    let unreadable = |error| wrong(file, "revocation lists of X.509", &error);
    let lists = lists
        .iter()
        .map(|list| Ok(CertificateRevocationList::from_der(list)?.1))
        .collect::<Result<Vec<_>, nom::Err<X509Error>>>()
        .map_err(unreadable)?;
    for authority in authorities {
        let (_, authority) = X509Certificate::from_der(authority).map_err(unreadable)?;
        let subject = authority.subject();
        let is_of_it =
            |list: &CertificateRevocationList| list.issuer().as_raw() == subject.as_raw();
        if !lists.iter().any(is_of_it) {
            let error = format!("{subject} has none, so all its clients would be refused");
            return Err(wrong(file, "a revocation list of each authority", &error));
        }
    }
    let ends = lists.iter().map(|list| {
        let end = list.next_update().map(time);
        end.ok_or_else(|| "a list does not say when the next one comes".to_owned())
    });
    Expiry::earliest(Kind::ClientCrl, file, ends)
}

/// Checks that clients would take the server's certificate for valid.
pub(super) fn check_server_certificate(
    certificate: &CertificateDer,
    file: &Path,
    now: SystemTime,
) -> Result<(), String> {
    let expected = "a certificate that is valid now";
    let validity = validity(certificate).map_err(|error| wrong(file, expected, &error))?;
    let mistake = if validity.not_after < now {
        format!(
            "it expired at {}",
            format_rfc3339_seconds(validity.not_after)
        )
    } else if now < validity.not_before {
        format!(
            "it is valid from {} on",
            format_rfc3339_seconds(validity.not_before)
        )
    } else {
        return Ok(());
    };
    Err(wrong(file, expected, &mistake))
}

/// A time of X.509 as one of the system. Before 1970 there was none.
fn time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap_or_default())
}
