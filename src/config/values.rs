//! How the values of settings are read. Each function says what it expected, and
//! never what it got.

use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;
use tonic::Code;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use crate::{
    mesibo::{Proxy, connections::is_loopback},
    service::TokenDeletion,
    status::ErrorCodes,
};

/// Longest time that a setting takes; far below what a clock can hold.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:50051".into())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| (Duration::from_millis(1)..=MAX_DURATION).contains(duration))
        .ok_or_else(|| "expected a time from 1ms to 365days, such as 15s or 5m".into())
}

/// A time that may be none at all.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|delay| *delay <= MAX_DURATION)
        .ok_or_else(|| "expected a time from 0s to 365days, such as 5s".into())
}

pub(super) fn bytes<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    // A gRPC message has a length of 32 bits.
    positive(text, u32::MAX)
        .ok_or_else(|| format!("expected a number of bytes from 1 to {}", u32::MAX))
}

/// How many of something there may be.
pub(super) fn number<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    positive(text, 1_000_000).ok_or_else(|| "expected a number from 1 to 1000000".into())
}

pub(super) fn upstream_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or("expected a URL, such as https://api.mesibo.com/api.php")?;
    if url.query().is_some() || url.fragment().is_some() || has_credentials(&url) {
        return Err("expected a URL without query, fragment and credentials".into());
    }
    // The token goes along with every request.
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("expected https: plain HTTP is for a loopback address".into());
    }
    Ok(url)
}

pub(super) fn proxy(text: &str) -> Result<Proxy, String> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && url.scheme() == "http")
        .map(Proxy)
        .ok_or_else(|| "expected the URL of an HTTP proxy, such as http://10.0.0.1:3128".into())
}

/// The URL of a gRPC server to ask: plaintext, without a path.
pub(super) fn server_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && url.scheme() == "http" && url.path() == "/")
        .ok_or_else(|| "expected a URL such as http://127.0.0.1:50051".into())
}

pub(super) fn token(text: &str) -> Result<SecretString, String> {
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("expected one token, without white space".into());
    }
    Ok(token.into())
}

pub(super) fn token_file(path: &str) -> Result<SecretString, String> {
    let content = read(path)?;
    token(str::from_utf8(&content).map_err(|_| "expected a text file with one token")?)
}

/// A PEM file with at least one certificate.
pub(super) fn ca_file(path: &str) -> Result<Vec<u8>, String> {
    let pem = read(path)?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err("expected a file of certificates in PEM".into());
    }
    Ok(pem)
}

pub(super) fn token_deletion(text: &str) -> Result<TokenDeletion, String> {
    match text {
        "usertoken" => Ok(TokenDeletion::UserToken),
        "userdel" => Ok(TokenDeletion::UserDel),
        _ => Err("expected usertoken or userdel".into()),
    }
}

pub(super) fn error_codes(text: &str) -> Result<ErrorCodes, String> {
    text.split(',')
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let (code, status) = entry.split_once('=')?;
            let code = code.trim();
            (!code.is_empty()).then_some(())?;
            Some((code.to_owned(), status_code(status.trim())?))
        })
        .collect::<Option<HashMap<_, _>>>()
        .map(ErrorCodes::new)
        .ok_or_else(|| {
            "expected Mesibo's error codes with a gRPC status each, such as \
             NOCREDIT=RESOURCE_EXHAUSTED, and never OK"
                .into()
        })
}

pub(super) fn log(text: &str) -> Result<Targets, String> {
    // A lone word that is no level would be taken as a target, and silence the rest.
    let is_directive =
        |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    text.split(',')
        .all(is_directive)
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| {
            "expected off, error, warn, info, debug or trace, or a list such as \
             warn,mesibo_grpc=debug"
                .into()
        })
}

fn positive<T: TryFrom<u32>>(text: &str, max: u32) -> Option<T> {
    let number: u32 = text.parse().ok()?;
    let number = (1..=max).contains(&number).then_some(number)?;
    number.try_into().ok()
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read the file: {error}"))
}

/// A gRPC code other than OK, by the name that its specification gives it.
fn status_code(name: &str) -> Option<Code> {
    Some(match name {
        "CANCELLED" => Code::Cancelled,
        "UNKNOWN" => Code::Unknown,
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "ABORTED" => Code::Aborted,
        "OUT_OF_RANGE" => Code::OutOfRange,
        "UNIMPLEMENTED" => Code::Unimplemented,
        "INTERNAL" => Code::Internal,
        "UNAVAILABLE" => Code::Unavailable,
        "DATA_LOSS" => Code::DataLoss,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        _ => return None,
    })
}
