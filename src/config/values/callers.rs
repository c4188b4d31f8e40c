//! Parsers of names, rights and rates, as the tables of apps and callers have them.

use std::{collections::HashSet, num::NonZeroU32, ops::RangeInclusive, time::SystemTime};

use secrecy::SecretString;

use crate::{
    access::{
        key::{Key, KeyHash},
        pattern::Pattern,
    },
    call::Policy,
};

/// Longest name of an app or a caller.
const MAX_NAME_LENGTH: usize = 63;

/// The calls a second that a rate may allow.
const RATES: RangeInclusive<f64> = 0.001..=1e6;

/// The form of a key that has more than a hash.
const A_KEY: &str = "expected the hash of a key, or a table such as { hash = \"sha256:...\", \
                     not-after = \"2030-12-31T00:00:00Z\" }";

/// The name of an app or a caller.
pub(in crate::config) fn name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    ((1..=MAX_NAME_LENGTH).contains(&text.len()) && text.chars().all(is_allowed))
        .then(|| text.to_owned())
        .ok_or_else(|| {
            format!("expected 1 to {MAX_NAME_LENGTH} of the characters a to z, 0 to 9, -, _ and .")
        })
}

/// The name of an app, as the metadata of a call has it.
pub(in crate::config) fn app(text: &str) -> Result<String, String> {
    is_one_word(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "expected the name of an app, in ASCII and without white space".into())
}

/// The key of a caller itself, not its hash.
pub(in crate::config) fn plain_key(text: &str) -> Result<SecretString, String> {
    let key = text.trim();
    is_one_word(key)
        .then(|| key.into())
        .ok_or_else(|| "expected one key, in ASCII and without white space".into())
}

/// Whether metadata can carry a text that is in one piece.
fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The full names of the RPCs that an entry of `may-call` stands for.
pub(in crate::config) fn rpcs(text: &str) -> Result<HashSet<&'static str>, String> {
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

/// A key: its hash, or a table of its hash and its end.
pub(in crate::config) fn key(text: &str) -> Result<Key, String> {
    if !text.contains('=') {
        return key_hash(text).map(Key::from);
    }
    let (mut hash, mut not_after) = (None, None);
    for entry in text.split(',') {
        match entry.split_once('=') {
            Some(("hash", text)) => hash = Some(key_hash(text)?),
            Some(("not-after", text)) => not_after = Some(utc(text)?),
            _ => return Err(A_KEY.into()),
        }
    }
    let hash = hash.ok_or(A_KEY)?;
    Ok(Key { hash, not_after })
}

/// A time in UTC, as RFC 3339 has it.
fn utc(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text).map_err(|_| {
        "expected not-after as a time in UTC, as RFC 3339 has it, such as 2030-12-31T00:00:00Z"
            .into()
    })
}

/// The hash of a key.
fn key_hash(text: &str) -> Result<KeyHash, String> {
    let hash = KeyHash::parse(text).ok_or(
        "expected the hash of a key, sha256: and 64 hexadecimal digits, as mesibo-grpc key \
         NAME makes it",
    )?;
    // A header `authorization: Bearer ` without a key would match it.
    if hash == KeyHash::of(b"") {
        return Err("expected the hash of a key, and this is that of an empty one".into());
    }
    Ok(hash)
}

/// A DNS name or a URI, as client certificates have them.
pub(in crate::config) fn certificate_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '*');
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "expected a DNS name or a URI of a client certificate, such as orders.example.com or \
         spiffe://example.com/orders"
            .into()
    })
}

/// A pattern of addresses.
pub(in crate::config) fn pattern(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Err("expected an address, in which * stands for any text".into());
    }
    Ok(Pattern::new(text))
}

/// The calls a second that a rate allows.
pub(in crate::config) fn per_second(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| RATES.contains(rate))
        .ok_or_else(|| "expected calls a second, from 0.001 to 1000000".into())
}

/// The calls at once that a rate allows.
pub(in crate::config) fn burst(text: &str) -> Result<NonZeroU32, String> {
    super::number::<u32>(text).map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
}

/// The burst of a rate that has none of its own: what a second brings, and at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is between 0.001 and 1,000,000"
)]
pub(in crate::config) fn burst_of_a_second(per_second: f64) -> NonZeroU32 {
    NonZeroU32::new(per_second.ceil() as u32).unwrap_or(NonZeroU32::MIN)
}
