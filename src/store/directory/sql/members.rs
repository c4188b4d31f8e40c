//! The statements of members.

use super::dialect::{Dialect, IS_OURS, MEMBERS};

const COLUMNS: &str = "t.gid, t.address, CAST(NULL AS text), CAST(t.known AS bigint),
    CAST(t.granted AS bigint), CAST(t.state AS bigint), t.created, t.changed";

/// What joins rows to members.
const BY_KEY: &str = "t.app = r.app AND t.gid = r.gid AND t.address = r.address";

/// The statements of members.
#[derive(Debug)]
pub(in crate::store::directory) struct MemberStatements {
    pub(in crate::store::directory) begun: String,
    pub(in crate::store::directory) ended: [String; 2],
    pub(in crate::store::directory) added: String,
    pub(in crate::store::directory) removed: String,
    /// Refreshes those that there are, and adds the others.
    pub(in crate::store::directory) seen: [String; 2],
    pub(in crate::store::directory) page: String,
}

impl MemberStatements {
    pub(super) fn new(of: &Dialect) -> Self {
        let of_member = "app gid:n address ticket:n";
        let seen = "app gid:n address known:n granted:n age:n";
        Self {
            begun: of.begin(MEMBERS, "app gid:n address"),
            ended: of.end(MEMBERS, "app gid:n address", BY_KEY, "t.prior = 3"),
            added: of.rows(
                &format!("{of_member} known:n granted:n"),
                &format!(
                    "UPDATE directory_members AS t SET
                        known = t.known | r.known,
                        granted = (t.granted & ~r.known) | r.granted,
                        state = {{confirmed_if_ours}},
                        ticket = {{ticket}},
                        check_at = {{check_at}},
                        changed = {{now}}
                    FROM r WHERE {BY_KEY}"
                ),
            ),
            removed: of.delete(
                (MEMBERS, "t"),
                of_member,
                &format!("{MEMBERS} AS t ON {BY_KEY}"),
                IS_OURS,
            ),
            seen: [
                of.rows(
                    seen,
                    &format!(
                        "UPDATE directory_members AS t SET
                            known = t.known | r.known,
                            granted = (t.granted & ~r.known) | r.granted,
                            changed = {{now}}
                        FROM r WHERE {BY_KEY}
                            AND t.state = 0 AND t.changed < {{now}} - r.age
                            AND (t.known & r.known <> r.known
                                OR t.granted & r.known <> r.granted)"
                    ),
                ),
                of.rows(
                    seen,
                    "INSERT INTO directory_members
                        (app, gid, address, known, granted, state, check_at, created, changed)
                    SELECT app, gid, address, known, granted, 0, {now}, {now}, {now} FROM r
                    WHERE true {by_member}
                    ON CONFLICT DO NOTHING",
                ),
            ],
            page: of.page(
                COLUMNS,
                "directory_members AS t",
                "t.app = ?1 AND t.gid = ?3 AND t.address > ?4",
                "t.address",
            ),
        }
    }
}
