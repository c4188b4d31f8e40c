//! Parsers of the values of settings.
//!
//! A parser says what it expected and never what it got: whether a value may be shown
//! depends on its setting.
//!
//! - this file: addresses, times, numbers, choices
//! - `emulator`: what the emulator of `sandbox` takes
//! - `callers`: names, rights and rates of apps and callers
//! - `files`: what files hold, and who may read and write them
//! - `urls`: URLs

pub(super) mod callers;
pub(super) mod emulator;
pub(super) mod files;
pub(super) mod urls;

use std::{
    collections::HashMap, convert::Infallible, net::SocketAddr, str::FromStr, time::Duration,
};

use http::HeaderValue;
use mesibo::Protocol;
use secrecy::SecretString;
use tonic::Code;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use crate::{
    server::config::Dialect,
    service::TokenDeletion,
    status::{ErrorCodes, code_of_name},
    store::{Location, LocationError},
    telemetry::{
        Format,
        audit::{AuditTo, OnFailure},
    },
};

/// Longest time that a setting takes; far below what a clock can hold.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

/// A value that every text is one of: a text, or the path of a file that is read later.
pub(super) fn any<T: FromStr<Err = Infallible>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|never: Infallible| match never {})
}

/// An IP address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:50051".into())
}

/// Whether other machines may reach an address.
pub(super) fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// An IP address and a port, or `none`.
pub(super) fn address_or_none(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    address(text)
        .map(Some)
        .map_err(|mistake| format!("{mistake}, or none"))
}

/// A time of at least a millisecond.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| (Duration::from_millis(1)..=MAX_DURATION).contains(duration))
        .ok_or_else(|| "expected a time from 1ms to 365days, such as 15s or 5m".into())
}

/// A time that may be zero.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|delay| *delay <= MAX_DURATION)
        .ok_or_else(|| "expected a time from 0s to 365days, such as 5s".into())
}

/// A size in bytes. A gRPC message has a length of 32 bits.
pub(super) fn bytes<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    positive(text, u32::MAX)
        .ok_or_else(|| format!("expected a number of bytes from 1 to {}", u32::MAX))
}

/// A number of connections, calls or requests.
pub(super) fn number<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    positive(text, 1_000_000).ok_or_else(|| "expected a number from 1 to 1000000".into())
}

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    positive(text, 1024).ok_or_else(|| "expected a number from 1 to 1024".into())
}

/// A number of connections to a database.
pub(super) fn store_connections(text: &str) -> Result<u32, String> {
    positive(text, 1000)
        .filter(|number| *number >= 4)
        .ok_or_else(|| "expected a number from 4 to 1000".into())
}

/// The protocols that are spoken, each once.
pub(super) fn protocols(text: &str) -> Result<Vec<Dialect>, String> {
    let named = |name: &str| {
        let mut dialects = Dialect::ALL.into_iter();
        dialects.find(|dialect| dialect.name() == name.trim())
    };
    text.split(',')
        .map(named)
        .collect::<Option<_>>()
        .ok_or_else(|| "expected some of grpc, grpc-web and connect".into())
}

/// Origins of web pages, RFC 6454, as browsers send them.
pub(super) fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let url = Url::parse(origin).ok()?;
            // Browsers leave out the port that goes with the scheme, and the last slash.
            let is_web = matches!(url.scheme(), "http" | "https");
            (is_web && url.origin().ascii_serialization() == origin)
                .then(|| HeaderValue::from_str(origin).ok())?
        })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            "expected origins as browsers send them, a scheme and a host in lower case and a \
             port unless it is the default, such as https://console.example.com; * is not one"
                .into()
        })
}

/// The place of the store.
pub(super) fn store(text: &str) -> Result<Location, String> {
    text.parse()
        .map_err(|error: LocationError| error.to_string())
}

/// A setting that is on or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".into())
}

/// Whether a client may connect without a certificate.
pub(super) fn client_may_be_unknown(text: &str) -> Result<bool, String> {
    match text {
        "required" => Ok(false),
        "optional" => Ok(true),
        _ => Err("expected required or optional".into()),
    }
}

/// The token of an application.
pub(super) fn token(text: &str) -> Result<SecretString, String> {
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("expected one token, without white space".into());
    }
    Ok(token.into())
}

/// The version of HTTP that Mesibo is spoken to in.
pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "auto" => Ok(Protocol::Auto),
        "http1" => Ok(Protocol::Http1),
        "http2" => Ok(Protocol::Http2),
        _ => Err("expected auto, http1 or http2".into()),
    }
}

/// The operation that `DeleteUserToken` sends.
pub(super) fn token_deletion(text: &str) -> Result<TokenDeletion, String> {
    match text {
        "usertoken" => Ok(TokenDeletion::UserToken),
        "userdel" => Ok(TokenDeletion::UserDel),
        _ => Err("expected usertoken or userdel".into()),
    }
}

/// A list of Mesibo's error codes, each with its gRPC status.
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

/// A log level, or levels by module.
pub(super) fn log(text: &str) -> Result<Targets, String> {
    // A single word that is no level would be taken for a module, and silence all others.
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

/// The place of the audit.
pub(super) fn audit_to(text: &str) -> Result<AuditTo, String> {
    match text {
        "" => Err("expected stderr, or the path of a file".into()),
        "stderr" => Ok(AuditTo::Stderr),
        path => Ok(AuditTo::File(path.into())),
    }
}

/// What becomes of a write without its line in the audit.
pub(super) fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "drop" => Ok(OnFailure::Drop),
        "refuse" => Ok(OnFailure::Refuse),
        _ => Err("expected drop or refuse".into()),
    }
}

/// The format of log lines.
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

/// A gRPC code other than OK, by the name that its specification gives it.
fn status_code(name: &str) -> Option<Code> {
    code_of_name(name).filter(|code| *code != Code::Ok)
}
