//! How the values of settings are read. Each function says what it expected, and
//! never what it got.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    num::NonZeroU32,
    ops::RangeInclusive,
    path::Path,
    time::Duration,
};

use mesibo::{Proxy, is_loopback};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;
use tonic::Code;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;
use zeroize::Zeroizing;

use super::section::Section;
use crate::{
    access::{key::KeyHash, pattern::Pattern},
    call::{Policy, Rate},
    service::TokenDeletion,
    status::ErrorCodes,
    telemetry::Format,
};

/// Longest time that a setting takes; far below what a clock can hold.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

/// Longest name of an app or a caller.
const MAX_NAME_LENGTH: usize = 63;

/// How many calls a second a rate may be.
const RATES: RangeInclusive<f64> = 0.001..=1e6;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:50051".into())
}

/// An address, or `none`.
pub(super) fn address_or_none(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    address(text)
        .map(Some)
        .map_err(|mistake| format!("{mistake}, or none"))
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

pub(super) fn threads(text: &str) -> Result<usize, String> {
    positive(text, 1024).ok_or_else(|| "expected a number from 1 to 1024".into())
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

/// The URL of a gRPC server to ask, without a path.
pub(super) fn server_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.path() == "/")
        .ok_or_else(|| "expected a URL such as http://127.0.0.1:50051".into())
}

pub(super) fn token(text: &str) -> Result<SecretString, String> {
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("expected one token, without white space".into());
    }
    Ok(token.into())
}

pub(super) fn token_file(path: &Path) -> Result<SecretString, String> {
    let content = Zeroizing::new(read(path)?);
    token(str::from_utf8(&content).map_err(|_| "expected a text file with one token")?)
}

/// A setting that is on or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".into())
}

/// Whether a client may do without a certificate.
pub(super) fn client_may_be_unknown(text: &str) -> Result<bool, String> {
    match text {
        "required" => Ok(false),
        "optional" => Ok(true),
        _ => Err("expected required or optional".into()),
    }
}

/// The name of an app or a caller.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    ((1..=MAX_NAME_LENGTH).contains(&text.len()) && text.chars().all(is_allowed))
        .then(|| text.to_owned())
        .ok_or_else(|| {
            format!("expected 1 to {MAX_NAME_LENGTH} of the characters a to z, 0 to 9, -, _ and .")
        })
}

/// RPCs that a caller may call.
pub(super) fn rpcs(text: &str) -> Result<HashSet<&'static str>, String> {
    let rpcs = Policy::allowed_by(text);
    if rpcs.is_empty() {
        return Err(
            "expected RPCs, such as mesibo.v1.MessageService/SendMessage, \
                    mesibo.v1.UserService/* or *"
                .into(),
        );
    }
    Ok(rpcs)
}

/// The hash of a key.
pub(super) fn key_hash(text: &str) -> Result<KeyHash, String> {
    KeyHash::parse(text).ok_or_else(|| {
        "expected the hash of a key, sha256: and 64 hexadecimal digits, as mesibo-grpc key \
         NAME makes it"
            .into()
    })
}

/// A DNS name or a URI, as client certificates have them.
pub(super) fn certificate_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '*');
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "expected a DNS name or a URI of a client certificate, such as orders.example.com or \
         spiffe://example.com/orders"
            .into()
    })
}

/// A pattern of addresses.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Err("expected an address, in which * stands for any text".into());
    }
    Ok(Pattern::new(text))
}

/// The rate of an app or a caller, if it has one.
pub(super) fn rate_of(section: &mut Section) -> Option<Rate> {
    let burst = section.find("burst", |text| {
        number(text).map(|number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    });
    let per_second = section.find("rate", |text| {
        let rate: Option<f64> = text.parse().ok();
        rate.filter(|rate| RATES.contains(rate))
            .ok_or_else(|| "expected calls a second, from 0.001 to 1000000".into())
    });
    let Some(per_second) = per_second else {
        if burst.is_some() {
            section.wrong("expected a rate with the burst");
        }
        return None;
    };
    // As much as a second brings, and at least one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let of_a_second = NonZeroU32::new(per_second.ceil() as u32).unwrap_or(NonZeroU32::MIN);
    Rate::new(per_second, burst.unwrap_or(of_a_second))
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

pub(super) fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("expected text or json".into()),
    }
}

fn positive<T: TryFrom<u32>>(text: &str, max: u32) -> Option<T> {
    let number: u32 = text.parse().ok()?;
    let number = (1..=max).contains(&number).then_some(number)?;
    number.try_into().ok()
}

/// Whether a text is a URL with a password.
pub(super) fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.password().is_some())
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
