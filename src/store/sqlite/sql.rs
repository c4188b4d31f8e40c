//! The statements. Rows go in as one JSON array, and so in one statement, however many
//! they are.

use std::fmt::Write as _;

use uuid::Uuid;

use super::scopes::Scopes;
use crate::store::{
    Key, Outcome,
    database::{NewClaim, state},
    ticket::Claim,
};

/// Claims ids, and settles claims, in one statement: on a busy machine, a switch to the thread
/// of the connection and back takes longer than a statement.
///
/// ?1: see [`writes`].
pub(super) const WRITE: &str = "
    INSERT INTO claims (scope, id, ticket, state, answer, request, created, expires)
    SELECT value->>0, unhex(value->>1), unhex(value->>2), value->>3,
        unhex(value->>4), unhex(value->>5), now, now + (value->>6)
    FROM jsonb_each(?1), (SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now)
    WHERE value->>3 = 0 OR EXISTS (
        SELECT 1 FROM claims
        WHERE scope = value->>0 AND claims.id = unhex(value->>1) AND ticket = unhex(value->>2))
    ON CONFLICT DO UPDATE SET state = excluded.state, answer = excluded.answer
    WHERE claims.ticket = excluded.ticket AND claims.state = 0 AND excluded.state <> 0";

/// ?1: see [`keys`].
pub(super) const RELEASE: &str = "
    DELETE FROM claims WHERE rowid IN (
        SELECT claims.rowid FROM jsonb_each(?1) CROSS JOIN claims
        WHERE scope = value->>0 AND claims.id = unhex(value->>1)
            AND ticket = unhex(value->>2) AND state = 0
    )";

/// A claim that has just been won is left alone: its owner learns of its lease by itself.
///
/// ?1: see [`keys`].
pub(super) const EXPIRE: &str = "
    UPDATE claims SET state = 2
    FROM jsonb_each(?1)
    WHERE scope = value->>0 AND claims.id = unhex(value->>1)
        AND ticket <> unhex(value->>2) AND state = 0
        AND expires <= CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";

/// ?1: see [`keys`].
pub(super) const LOOK: &str = "
    SELECT key, ticket, request, state, answer,
        expires - CAST(round(unixepoch('subsec') * 1000) AS INTEGER)
    FROM jsonb_each(?1) CROSS JOIN claims
    WHERE scope = value->>0 AND claims.id = unhex(value->>1)";

/// ?1: the most rows; ?2: the retention in milliseconds. Rows are in the order of their
/// claims.
pub(super) const SWEEP: &str = "
    DELETE FROM claims
    WHERE rowid IN (SELECT rowid FROM claims ORDER BY rowid LIMIT ?1)
        AND created + ?2 <= CAST(round(unixepoch('subsec') * 1000) AS INTEGER)
        AND (state <> 0 OR expires <= CAST(round(unixepoch('subsec') * 1000) AS INTEGER))";

/// At most as many as there are row numbers in use: released rows leave gaps.
pub(super) const ROWS: &str = "
    SELECT coalesce((SELECT max(rowid) FROM claims) - (SELECT min(rowid) FROM claims) + 1, 0)";

/// Each `[scope, id, ticket, state, answer, request, lease in milliseconds]`: outcomes come
/// before claims of the same id.
pub(super) fn writes(
    scopes: &Scopes,
    settled: &[(&Claim, &Outcome)],
    claims: &[&NewClaim],
) -> String {
    let mut rows = Rows::new(settled.len() + claims.len());
    for (claim, outcome) in settled {
        let (state, answer) = outcome.parts();
        rows.add(|json| {
            written(json, scopes, claim, state, answer);
            json.push_str("\"\",0");
        });
    }
    for new in claims {
        rows.add(|json| {
            written(json, scopes, &new.claim, state::UNDER_WAY, &[]);
            blob(json, &new.request);
            let _ = write!(json, "{}", new.lease.as_millis());
        });
    }
    rows.end()
}

/// Each `[scope, id, ticket]`: without a ticket where the claim is not ours.
pub(super) fn keys(scopes: &Scopes, keys: &[(&Key, Option<Uuid>)]) -> String {
    let mut rows = Rows::new(keys.len());
    for (this, ticket) in keys {
        rows.add(|json| {
            key(json, scopes, this);
            let ticket = ticket.map(hex::encode).unwrap_or_default();
            let _ = write!(json, "\"{ticket}\"");
        });
    }
    rows.end()
}

/// A JSON array of arrays.
struct Rows(String);

impl Rows {
    fn new(count: usize) -> Self {
        let mut json = String::with_capacity(2 + count * 256);
        json.push('[');
        Self(json)
    }

    fn add(&mut self, row: impl FnOnce(&mut String)) {
        let is_first = self.0.len() == 1;
        self.0.push_str(if is_first { "[" } else { ",[" });
        row(&mut self.0);
        self.0.push(']');
    }

    fn end(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

fn written(json: &mut String, scopes: &Scopes, claim: &Claim, state: i16, answer: &[u8]) {
    key(json, scopes, &claim.key);
    blob(json, claim.ticket.as_bytes());
    let _ = write!(json, "{state},");
    blob(json, answer);
}

fn key(json: &mut String, scopes: &Scopes, key: &Key) {
    let _ = write!(json, "{},", scopes.number(key));
    blob(json, key.id.as_bytes());
}

fn blob(json: &mut String, bytes: &[u8]) {
    let _ = write!(json, "\"{}\",", hex::encode(bytes));
}
