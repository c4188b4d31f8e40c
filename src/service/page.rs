//! Pages, and the tokens that ask for the next one.
//!
//! A token has the key of the last entry of its page, after a digest of the query, the app
//! and the caller that it is for.

use ring::digest::{Context as Digest, SHA256};

use crate::{
    call::Context,
    store::directory::{GroupAfter, GroupEntry},
};

/// How much of the digest a token has, in bytes: mistakes are found, and there is nothing to
/// forge. A made-up token begins a page of the caller's own query somewhere else.
const DIGEST_BYTES: usize = 12;

/// The entries of a page if the request names no number.
pub(super) const DEFAULT_SIZE: u32 = 100;

/// The most entries of a page.
pub const MAX_SIZE: u32 = 1_000;

/// What a token is for.
pub(super) struct Query([u8; DIGEST_BYTES]);

/// A page in the contract's form.
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    /// Empty if it is the last.
    pub(super) next: String,
}

/// The key of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupKey {
    id: i64,
    gid: u64,
    name: String,
}

impl Query {
    /// The query of a call, whose parameters come in a fixed order.
    pub(super) fn new(call: &Context, parameters: &[&str]) -> Self {
        let of_call = [call.policy.name(), &*call.app.name, &*call.caller];
        let mut digest = Digest::new(&SHA256);
        for text in of_call.iter().chain(parameters) {
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        }
        let digest = digest.finish();
        let start = digest.as_ref().first_chunk();
        Self(*start.expect("SHA-256 has 32 bytes"))
    }

    pub(super) fn token(&self, key: &[u8]) -> String {
        hex::encode([&self.0, key].concat())
    }

    /// The key in a token. `None` if the token is not one of this query.
    pub(super) fn key(&self, token: &str) -> Option<Vec<u8>> {
        let token = hex::decode(token).ok()?;
        Some(token.strip_prefix(&self.0)?.to_owned())
    }
}

impl<T> Page<T> {
    /// The page of entries that were asked for with one above the limit, which tells that
    /// there is another page.
    pub(super) fn of<E: Into<T>>(
        mut entries: Vec<E>,
        limit: u32,
        token: impl FnOnce(&E) -> String,
    ) -> Self {
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_next = entries.len() > size;
        entries.truncate(size);
        let next = match entries.last() {
            Some(last) if has_next => token(last),
            _ => String::new(),
        };
        Self {
            entries: entries.into_iter().map(Into::into).collect(),
            next,
        }
    }
}

/// A key that is an address.
pub(super) fn text(key: &[u8]) -> Option<String> {
    let text = str::from_utf8(key).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A key of a group.
pub(super) fn group(key: &[u8]) -> Option<GroupKey> {
    let (id, rest) = key.split_first_chunk()?;
    let (gid, name) = rest.split_first_chunk()?;
    Some(GroupKey {
        id: i64::from_be_bytes(*id),
        gid: u64::from_be_bytes(*gid),
        name: str::from_utf8(name).ok()?.to_owned(),
    })
}

pub(super) fn of_group(group: &GroupEntry) -> Vec<u8> {
    let gid = group.gid.unwrap_or_default();
    [
        &group.id.to_be_bytes()[..],
        &gid.to_be_bytes(),
        group.name.as_bytes(),
    ]
    .concat()
}

impl GroupKey {
    pub(super) fn as_after(&self) -> GroupAfter<'_> {
        GroupAfter {
            name: &self.name,
            id: self.id,
            gid: self.gid,
        }
    }
}
