//! The statements of looking up uncertain users, and of counting what is uncertain.

use super::{
    dialect::{Dialect, GROUPS, MEMBERS, USERS},
    users,
};

/// Those whose time to be looked up has come. Mesibo would take a `*` for a wildcard.
const DUE: &str = "t.app = ?1 AND t.state <> 0 AND t.check_at <= {now}
    AND t.address NOT LIKE '%*%'";

/// What joins rows to users that no write has begun of since they were taken.
const IS_STILL: &str = "t.id = r.id AND t.ticket = r.ticket AND t.state = r.state";

/// A write by the uid that Mesibo told, which began when the uid had no address, and may be
/// under way.
const IS_BUSY: &str = "b.app = t.app AND b.uid = r.uid AND b.id <> t.id
    AND b.state = 2 AND b.check_at > {now}";

/// The statements of looking up uncertain users.
#[derive(Debug)]
pub(in crate::store::directory) struct LookupStatements {
    pub(in crate::store::directory) is_due: String,
    pub(in crate::store::directory) take_turn: String,
    /// The number of the row is the user's ticket.
    pub(in crate::store::directory) take_due: String,
    pub(in crate::store::directory) found: [String; 3],
    pub(in crate::store::directory) absent: [String; 2],
    /// The state of the row is the count: of users, groups and members.
    pub(in crate::store::directory) uncertain: [String; 3],
}

impl LookupStatements {
    pub(super) fn new(of: &Dialect) -> Self {
        let resolved = "id:n ticket:n state:n uid:n active:n flags:n";
        let is_quiet = format!("NOT EXISTS (SELECT 1 FROM {USERS} AS b WHERE {IS_BUSY})");
        let uncertain = |table: &str| {
            of.text(&format!(
                "SELECT CAST(0 AS bigint), CAST(NULL AS bigint), CAST(NULL AS text),
                    CAST(NULL AS text), CAST(NULL AS bigint), CAST(NULL AS bigint),
                    count(*), CAST(0 AS bigint), CAST(0 AS bigint)
                FROM {table}
                WHERE app = ?1 AND state <> 0 AND (state = 1 OR check_at <= {{now}})"
            ))
        };
        Self {
            is_due: of.text(&format!(
                "SELECT t.id, {} FROM directory_users AS t WHERE {DUE} LIMIT 1",
                users::COLUMNS
            )),
            take_turn: of.text(
                "INSERT INTO directory_turns AS t (app, next_at) VALUES (?1, {now} + ?2)
                ON CONFLICT (app) DO UPDATE SET next_at = excluded.next_at
                WHERE t.next_at <= {now}
                RETURNING CAST(0 AS bigint), CAST(NULL AS bigint), CAST(NULL AS text),
                    CAST(NULL AS text), CAST(NULL AS bigint), CAST(NULL AS bigint),
                    CAST(0 AS bigint), CAST(0 AS bigint), CAST(0 AS bigint)",
            ),
            // Ten pauses, from 15 s to an hour.
            take_due: of.text(&format!(
                "UPDATE directory_users SET
                    check_at = {{now}} + CASE WHEN checks < 8 THEN 15000 * (1 << checks)
                        ELSE 3600000 END,
                    checks = CASE WHEN checks < 8 THEN checks + 1 ELSE checks END
                WHERE id = (
                    SELECT t.id FROM directory_users AS t WHERE {DUE}
                    ORDER BY t.check_at LIMIT 1 {{skip_locked}})
                RETURNING id, ticket, address, CAST(NULL AS text), CAST(NULL AS bigint),
                    CAST(NULL AS bigint), CAST(state AS bigint), created, changed"
            )),
            found: [
                of.rows(
                    resolved,
                    &format!(
                        "UPDATE directory_users AS t SET check_at = b.check_at
                        FROM r JOIN directory_users AS b ON b.uid = r.uid
                        WHERE {IS_STILL} AND {IS_BUSY}"
                    ),
                ),
                of.delete(
                    (USERS, "o"),
                    resolved,
                    &format!(
                        "{USERS} AS t ON {IS_STILL}
                        JOIN {USERS} AS o ON o.app = t.app AND o.uid = r.uid"
                    ),
                    &format!("o.id <> t.id AND {is_quiet}"),
                ),
                of.rows(
                    resolved,
                    &format!(
                        "UPDATE directory_users AS t SET
                            uid = r.uid,
                            active = COALESCE(r.active, t.active),
                            flags = COALESCE(r.flags, t.flags),
                            state = 0,
                            ticket = -abs(t.ticket),
                            checks = 0,
                            changed = {{now}}
                        FROM r WHERE {IS_STILL} AND {is_quiet}"
                    ),
                ),
            ],
            absent: users::deleted(of, resolved, IS_STILL, "true"),
            uncertain: [uncertain(USERS), uncertain(GROUPS), uncertain(MEMBERS)],
        }
    }
}
