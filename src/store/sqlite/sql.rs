//! The statements. Rows go in as one JSON array, and so in one statement, however many
//! they are.

use std::fmt::Write as _;

use crate::store::{
    Key,
    database::{NewClaim, state},
    ticket::Settlement,
};

/// ?1: see [`claims`].
pub(super) const CLAIM: &str = "
    INSERT INTO claims (app, caller, rpc, id, ticket, request, created, expires)
    SELECT value->>0, value->>1, value->>2, unhex(value->>3), unhex(value->>4),
        unhex(value->>5), now, now + (value->>6)
    FROM json_each(?1), (SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now)
    WHERE true
    ON CONFLICT DO NOTHING";

/// ?1: see [`settlements`].
pub(super) const SETTLE: &str = "
    UPDATE claims SET state = value->>5, answer = unhex(value->>6)
    FROM json_each(?1)
    WHERE app = value->>0 AND caller = value->>1 AND rpc = value->>2
        AND claims.id = unhex(value->>3) AND ticket = unhex(value->>4) AND state = 0";

/// ?1: see [`settlements`].
pub(super) const RELEASE: &str = "
    DELETE FROM claims WHERE rowid IN (
        SELECT claims.rowid FROM json_each(?1) CROSS JOIN claims
        WHERE app = value->>0 AND caller = value->>1 AND rpc = value->>2
            AND claims.id = unhex(value->>3) AND ticket = unhex(value->>4) AND state = 0
    )";

/// ?1: see [`keys`].
pub(super) const EXPIRE: &str = "
    UPDATE claims SET state = 2
    FROM json_each(?1)
    WHERE app = value->>0 AND caller = value->>1 AND rpc = value->>2
        AND claims.id = unhex(value->>3) AND state = 0
        AND expires <= CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";

/// ?1: see [`keys`].
pub(super) const LOOK: &str = "
    SELECT key, ticket, request, state, answer,
        expires - CAST(round(unixepoch('subsec') * 1000) AS INTEGER)
    FROM json_each(?1) CROSS JOIN claims
    WHERE app = value->>0 AND caller = value->>1 AND rpc = value->>2
        AND claims.id = unhex(value->>3)";

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

/// Each `[app, caller, rpc, id, ticket, request, lease in milliseconds]`.
pub(super) fn claims(rows: &[&NewClaim]) -> String {
    array(rows, |json, new| {
        key(json, &new.claim.key);
        blob(json, new.claim.ticket.as_bytes());
        blob(json, &new.request);
        let _ = write!(json, "{}", new.lease.as_millis());
    })
}

/// Each `[app, caller, rpc, id, ticket, state, answer]`.
pub(super) fn settlements(rows: &[&Settlement]) -> String {
    array(rows, |json, settlement| {
        key(json, &settlement.claim.key);
        blob(json, settlement.claim.ticket.as_bytes());
        let (state, answer) = match &settlement.outcome {
            Some(outcome) => {
                let (state, answer) = outcome.parts();
                (state, &answer[..])
            }
            None => (state::UNDER_WAY, &[][..]),
        };
        let _ = write!(json, "{state},\"{}\"", hex::encode(answer));
    })
}

/// Each `[app, caller, rpc, id]`.
pub(super) fn keys(rows: &[&Key]) -> String {
    array(rows, |json, row| {
        key(json, row);
        json.push('0');
    })
}

fn array<T>(rows: &[T], row: impl Fn(&mut String, &T)) -> String {
    let mut json = String::with_capacity(2 + rows.len() * 256);
    json.push('[');
    for (n, this) in rows.iter().enumerate() {
        json.push_str(if n == 0 { "[" } else { ",[" });
        row(&mut json, this);
        json.push(']');
    }
    json.push(']');
    json
}

fn key(json: &mut String, key: &Key) {
    for text in [&*key.app, &*key.caller, key.rpc] {
        let _ = write!(json, "{},", serde_json::Value::from(text));
    }
    blob(json, key.id.as_bytes());
}

fn blob(json: &mut String, bytes: &[u8]) {
    let _ = write!(json, "\"{}\",", hex::encode(bytes));
}
