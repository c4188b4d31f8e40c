//! The statements of groups.

use super::dialect::{Dialect, GROUPS, IS_OURS, MEMBERS, by};

const COLUMNS: &str = "t.gid, CAST(NULL AS text), t.name, CAST(t.active AS bigint),
    t.flags, CAST(t.state AS bigint), t.created, t.changed";

/// What joins rows to groups that are being made.
const NEW: &str = "t.app = r.app AND t.ticket = r.ticket AND t.gid IS NULL";

/// The statements of groups.
#[derive(Debug)]
pub(in crate::store::directory) struct GroupStatements {
    pub(in crate::store::directory) begun: String,
    pub(in crate::store::directory) begun_by_gid: String,
    pub(in crate::store::directory) ended: [String; 2],
    pub(in crate::store::directory) ended_by_gid: [String; 2],
    pub(in crate::store::directory) created: [String; 2],
    pub(in crate::store::directory) edited: String,
    pub(in crate::store::directory) deleted: [String; 2],
    /// Makes groups known that members do.
    pub(in crate::store::directory) known: String,
    pub(in crate::store::directory) by_gid: String,
    pub(in crate::store::directory) page: String,
    pub(in crate::store::directory) page_of_member: String,
}

impl GroupStatements {
    pub(super) fn new(of: &Dialect) -> Self {
        let of_group = "app gid:n ticket:n";
        let group = format!("{GROUPS} AS t ON {}", by("gid"));
        let its_members = format!("{group} JOIN {MEMBERS} AS m ON m.app = t.app AND m.gid = t.gid");
        Self {
            begun: of.rows(
                "app ticket:n lease:n name active:n flags:n",
                "INSERT INTO directory_groups
                    (app, ticket, name, active, flags, state, prior, check_at, created, changed)
                SELECT app, ticket, COALESCE(name, ''), active, flags, 2, 3, {now} + lease,
                    {now}, {now}
                FROM r WHERE NOT EXISTS (
                    SELECT 1 FROM directory_groups AS o
                    WHERE o.app = r.app AND o.ticket = r.ticket AND o.gid IS NULL)",
            ),
            begun_by_gid: of.begin(GROUPS, "app gid:n"),
            ended: of.end(GROUPS, "app", NEW, "true"),
            ended_by_gid: of.end(GROUPS, "app gid:n", &by("gid"), "t.prior = 3"),
            created: [
                of.delete(
                    (GROUPS, "t"),
                    "app ticket:n",
                    &format!("{GROUPS} AS t ON {NEW}"),
                    "true",
                ),
                of.rows(
                    "app gid:n ticket:n name active:n flags:n state:n",
                    "INSERT INTO directory_groups AS t
                        (app, gid, ticket, name, active, flags, state, check_at, created, changed)
                    SELECT app, gid, ticket, COALESCE(name, ''), active, flags, state, {now},
                        {now}, {now}
                    FROM r WHERE true {by_gid}
                    ON CONFLICT (app, gid) DO UPDATE SET
                        ticket = excluded.ticket,
                        name = excluded.name,
                        active = COALESCE(excluded.active, t.active),
                        flags = COALESCE(excluded.flags, t.flags),
                        state = excluded.state,
                        changed = excluded.changed",
                ),
            ],
            edited: of.rows(
                &format!("{of_group} name active:n flags:n"),
                "UPDATE directory_groups AS t SET
                    name = COALESCE(r.name, t.name),
                    active = COALESCE(r.active, t.active),
                    flags = COALESCE(r.flags, t.flags),
                    state = {confirmed_if_ours},
                    ticket = {ticket},
                    check_at = {check_at},
                    changed = {now}
                FROM r WHERE t.app = r.app AND t.gid = r.gid",
            ),
            deleted: [
                of.delete((MEMBERS, "m"), of_group, &its_members, IS_OURS),
                of.delete((GROUPS, "t"), of_group, &group, IS_OURS),
            ],
            known: of.rows(
                "app gid:n",
                "INSERT INTO directory_groups (app, gid, state, check_at, created, changed)
                SELECT app, gid, 0, {now}, {now}, {now} FROM r WHERE true {by_gid}
                ON CONFLICT DO NOTHING",
            ),
            by_gid: of.look_up(GROUPS, COLUMNS, "gid:n"),
            page: of.page(
                COLUMNS,
                "directory_groups AS t",
                "t.app = ?1 AND (t.name, t.id) > (?3, ?4) AND t.name < ?5",
                "t.name, t.id",
            ),
            page_of_member: of.page(
                COLUMNS,
                "directory_members AS m
                JOIN directory_groups AS t ON t.app = m.app AND t.gid = m.gid",
                "m.app = ?1 AND m.address = ?3 AND m.gid > ?4 AND t.name >= ?5 AND t.name < ?6",
                "m.gid",
            ),
        }
    }
}
