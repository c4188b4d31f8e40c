//! The statements. Both databases understand them, but for how the rows of a JSON array are
//! read, what the time is, and how a row that another process is at is left out.
//!
//! Rows go in as one JSON array of arrays, and so in one statement, however many they are.
//! A statement that is carried out twice for one ticket does no more than one that is
//! carried out once.

use std::sync::LazyLock;

/// The state of an entry whose last write has a known outcome.
pub(super) const CONFIRMED: i64 = 0;

/// How a fate is written.
pub(super) mod fate {
    pub(in crate::store::directory) const NOT_DONE: i64 = 0;
    pub(in crate::store::directory) const UNKNOWN: i64 = 1;
    pub(in crate::store::directory) const MISSING: i64 = 2;
}

/// What differs between the databases.
#[derive(Debug)]
pub(in crate::store) struct Dialect {
    /// A table with the column `value`, a row for each entry of the JSON array `$1`.
    each: &'static str,
    /// Milliseconds since 1970-01-01 UTC.
    now: &'static str,
    skip_locked: &'static str,
}

pub(in crate::store) const SQLITE: Dialect = Dialect {
    each: "json_each($1)",
    now: "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
    skip_locked: "",
};

pub(in crate::store) const POSTGRES: Dialect = Dialect {
    each: "json_array_elements(CAST($1 AS json))",
    now: "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
    skip_locked: "FOR UPDATE SKIP LOCKED",
};

/// The statements of one database.
#[derive(Debug)]
pub(in crate::store) struct Statements {
    pub(super) user_begun: String,
    pub(super) user_begun_by_address: String,
    pub(super) user_ended: [String; 2],
    pub(super) user_ended_by_address: [String; 2],
    pub(super) user_created: [String; 3],
    pub(super) user_disputed: String,
    pub(super) user_edited: String,
    pub(super) user_deleted: [String; 2],
    pub(super) user_missed: String,
    pub(super) users_seen: [String; 5],
    pub(super) group_begun: String,
    pub(super) group_begun_by_gid: String,
    pub(super) group_ended: [String; 2],
    pub(super) group_ended_by_gid: [String; 2],
    pub(super) group_created: [String; 2],
    pub(super) group_edited: String,
    pub(super) group_deleted: [String; 2],
    pub(super) group_known: String,
    pub(super) members_begun: String,
    pub(super) members_ended: [String; 2],
    pub(super) members_added: String,
    pub(super) members_removed: String,
    pub(super) members_seen: [String; 2],
    pub(super) resolved_found: [String; 2],
    pub(super) resolved_absent: [String; 2],
    pub(super) forget: [String; 2],
    pub(super) user_by_uid: String,
    pub(super) user_by_address: String,
    pub(super) users_page: [String; 3],
    pub(super) group: String,
    pub(super) groups_page: String,
    pub(super) groups_of_member: String,
    pub(super) members_page: String,
    pub(super) is_due: String,
    pub(super) take_turn: String,
    pub(super) take_due: String,
    pub(super) uncertain: [String; 3],
}

pub(in crate::store) static SQLITE_STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| Statements::new(&SQLITE));

pub(in crate::store) static POSTGRES_STATEMENTS: LazyLock<Statements> =
    LazyLock::new(|| Statements::new(&POSTGRES));

/// Whose ticket it is decides: an entry that another write has taken since stays uncertain,
/// with a ticket that is nobody's.
const TICKET: &str = "CASE WHEN t.ticket = r.ticket THEN t.ticket ELSE -abs(r.ticket) END";

const CONFIRMED_IF_OURS: &str = "CASE WHEN t.ticket = r.ticket THEN 0 ELSE 1 END";

const USER_COLUMNS: &str = "t.id, t.uid, t.address, t.name, CAST(t.active AS bigint), t.flags,
    CAST(t.state AS bigint), t.created, t.changed";

const GROUP_COLUMNS: &str = "t.id, t.gid, CAST(NULL AS text), t.name, CAST(t.active AS bigint),
    t.flags, CAST(t.state AS bigint), t.created, t.changed";

const MEMBER_COLUMNS: &str = "t.id, t.gid, t.address, CAST(NULL AS text),
    CAST(t.known AS bigint), CAST(t.granted AS bigint), CAST(t.state AS bigint), t.created,
    t.changed";

impl Dialect {
    fn text(&self, sql: &str) -> String {
        sql.replace("{each}", self.each)
            .replace("{now}", self.now)
            .replace("{skip_locked}", self.skip_locked)
            .replace("{ticket}", TICKET)
            .replace("{confirmed_if_ours}", CONFIRMED_IF_OURS)
            .replace("{user}", USER_COLUMNS)
            .replace("{group}", GROUP_COLUMNS)
            .replace("{member}", MEMBER_COLUMNS)
    }

    /// A statement for rows with these columns: `r` stands for them. A name that ends with
    /// `:n` is a number.
    fn rows(&self, columns: &str, sql: &str) -> String {
        let columns =
            columns
                .split_whitespace()
                .enumerate()
                .map(|(n, name)| match name.strip_suffix(":n") {
                    Some(name) => format!("CAST(value->>{n} AS bigint) AS {name}"),
                    None => format!("CAST(value->>{n} AS text) AS {name}"),
                });
        let columns: Vec<_> = columns.collect();
        let rows = format!("WITH r AS (SELECT {} FROM {{each}}) ", columns.join(", "));
        self.text(&(rows + sql))
    }

    /// Takes entries for a write, by this key: new ones, or those that there are.
    fn begin(&self, table: &str, key: &str) -> String {
        let list = names(key).join(", ");
        self.rows(
            &format!("{key} ticket:n lease:n"),
            &format!(
                "INSERT INTO {table} AS t
                    ({list}, ticket, state, prior, check_at, created, changed)
                SELECT {list}, ticket, 2, 3, {{now}} + lease, {{now}}, {{now}} FROM r
                WHERE true ORDER BY {list}
                ON CONFLICT ({list}) DO UPDATE SET
                    prior = CASE WHEN t.ticket = excluded.ticket THEN t.prior
                        WHEN t.state = 2 THEN 1 ELSE t.state END,
                    state = CASE WHEN t.ticket = excluded.ticket THEN t.state ELSE 2 END,
                    ticket = excluded.ticket,
                    check_at = excluded.check_at"
            ),
        )
    }

    /// Ends writes of entries that were not carried out, or may have been. What such a write
    /// was to make is removed: where Mesibo does not have what it names, if `missing`.
    fn end(&self, table: &str, key: &str, on: &str, missing: &str) -> [String; 2] {
        let remove = format!(
            "DELETE FROM {table} WHERE id IN (
                SELECT t.id FROM r JOIN {table} AS t ON {on}
                WHERE t.ticket = r.ticket AND t.state = 2
                    AND (r.fate = 0 AND t.prior = 3 OR r.fate = 2 AND {missing}))"
        );
        let end = format!(
            "UPDATE {table} AS t SET
                state = CASE WHEN t.ticket <> r.ticket THEN 1 WHEN t.state <> 2 THEN t.state
                    WHEN r.fate = 0 THEN t.prior ELSE 1 END,
                ticket = {{ticket}},
                check_at = {{now}} + r.delay
            FROM r WHERE {on}"
        );
        let columns = format!("{key} ticket:n fate:n delay:n");
        [remove, end].map(|sql| self.rows(&columns, &sql))
    }
}

/// The names of columns.
fn names(columns: &str) -> Vec<&str> {
    let names = columns.split_whitespace();
    names.map(|name| name.trim_end_matches(":n")).collect()
}

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a table of statements")]
    fn new(of: &Dialect) -> Self {
        let (users, groups, members) = ("directory_users", "directory_groups", "directory_members");
        let by = |column: &str| format!("t.app = r.app AND t.{column} = r.{column}");
        let created = "app address uid:n ticket:n name active:n";
        let of_user = "app uid:n ticket:n";
        let seen = "app address uid:n active:n flags:n age:n";
        let of_group = "app gid:n ticket:n";
        let member = "app gid:n address ticket:n";
        let resolved = "id:n ticket:n state:n uid:n active:n flags:n";
        let is_still = "t.id = r.id AND t.ticket = r.ticket AND t.state = r.state";
        let page = |active: &str| {
            of.text(&format!(
                "SELECT {{user}} FROM directory_users AS t
                WHERE t.app = $1 AND t.address >= $2 AND t.address < $3 {active}
                ORDER BY t.address LIMIT $4"
            ))
        };
        let uncertain = |table: &str| {
            of.text(&format!(
                "SELECT CAST(0 AS bigint), CAST(NULL AS bigint), CAST(NULL AS text),
                    CAST(NULL AS text), CAST(NULL AS bigint), CAST(NULL AS bigint),
                    count(*), CAST(0 AS bigint), CAST(0 AS bigint)
                FROM {table}
                WHERE app = $1 AND state <> 0 AND (state = 1 OR check_at <= {{now}})"
            ))
        };
        Self {
            user_begun: of.begin(users, "app uid:n"),
            user_begun_by_address: of.begin(users, "app address"),
            // Without an address, nothing is left to look a user up by.
            user_ended: of.end(users, "app uid:n", &by("uid"), "t.address IS NULL"),
            user_ended_by_address: of.end(users, "app address", &by("address"), "false"),
            // The user of a uid that no address is known for may be one that is being made:
            // it stays uncertain then.
            user_disputed: of.rows(
                of_user,
                "UPDATE directory_users AS o SET ticket = -abs(r.ticket)
                FROM r JOIN directory_users AS t ON t.app = r.app AND t.uid = r.uid
                WHERE t.address IS NULL AND t.ticket = r.ticket
                    AND o.app = r.app AND o.state <> 0 AND o.uid IS NULL",
            ),
            user_created: [
                // Another write of it, by its uid, is under way, or its outcome not known.
                of.rows(
                    created,
                    "UPDATE directory_users AS t SET ticket = -abs(r.ticket)
                    FROM r WHERE t.app = r.app AND t.address = r.address
                        AND t.ticket = r.ticket AND EXISTS (
                            SELECT 1 FROM directory_users AS o
                            WHERE o.app = r.app AND o.uid = r.uid AND o.id <> t.id
                                AND o.state <> 0)",
                ),
                // Mesibo has just said whose id it is.
                of.rows(
                    created,
                    "DELETE FROM directory_users WHERE id IN (
                        SELECT t.id FROM r JOIN directory_users AS t
                            ON t.app = r.app AND t.uid = r.uid
                        WHERE t.address IS NULL OR t.address <> r.address)",
                ),
                // Without an intent it may have been deleted since.
                of.rows(
                    created,
                    "INSERT INTO directory_users AS t
                        (app, address, uid, ticket, name, active, state, check_at, created,
                        changed)
                    SELECT app, address, uid, ticket, name, active, 1, {now}, {now}, {now}
                    FROM r WHERE true ORDER BY app, address
                    ON CONFLICT (app, address) DO UPDATE SET
                        uid = excluded.uid,
                        name = COALESCE(excluded.name, t.name),
                        active = COALESCE(excluded.active, t.active, 1),
                        state = CASE WHEN t.ticket = excluded.ticket THEN 0 ELSE 1 END,
                        ticket = CASE WHEN t.ticket = excluded.ticket THEN t.ticket
                            ELSE -abs(excluded.ticket) END,
                        check_at = excluded.check_at,
                        checks = 0,
                        changed = excluded.changed",
                ),
            ],
            user_edited: of.rows(
                &format!("{of_user} flags:n active:n"),
                "UPDATE directory_users AS t SET
                    flags = COALESCE(r.flags, t.flags),
                    active = COALESCE(r.active, t.active),
                    state = {confirmed_if_ours},
                    ticket = {ticket},
                    check_at = {now},
                    checks = 0,
                    changed = {now}
                FROM r WHERE t.app = r.app AND t.uid = r.uid",
            ),
            user_deleted: [
                of.rows(
                    of_user,
                    "DELETE FROM directory_members WHERE id IN (
                        SELECT m.id FROM r
                        JOIN directory_users AS t ON t.app = r.app AND t.uid = r.uid
                        JOIN directory_members AS m ON m.app = t.app AND m.address = t.address
                        WHERE t.ticket = r.ticket)",
                ),
                of.rows(
                    of_user,
                    "DELETE FROM directory_users WHERE id IN (
                        SELECT t.id FROM r
                        JOIN directory_users AS t ON t.app = r.app AND t.uid = r.uid
                        WHERE t.ticket = r.ticket)",
                ),
            ],
            user_missed: of.rows(
                "app uid:n",
                "UPDATE directory_users AS t SET state = 1, check_at = {now}, checks = 0
                FROM r WHERE t.app = r.app AND t.uid = r.uid AND t.state = 0",
            ),
            users_seen: [
                of.rows(
                    seen,
                    "UPDATE directory_users AS t SET
                        active = COALESCE(r.active, t.active),
                        flags = COALESCE(r.flags, t.flags),
                        changed = {now}
                    FROM r WHERE t.app = r.app AND t.address = r.address AND t.uid = r.uid
                        AND t.state = 0 AND t.changed < {now} - r.age
                        AND (r.active <> COALESCE(t.active, -1)
                            OR r.flags <> COALESCE(t.flags, -1))",
                ),
                of.rows(
                    seen,
                    "UPDATE directory_users AS t SET state = 1, check_at = {now}, checks = 0
                    FROM r WHERE t.app = r.app AND t.address = r.address
                        AND COALESCE(t.uid, 0) <> r.uid
                        AND t.state = 0 AND t.changed < {now} - r.age",
                ),
                of.rows(
                    seen,
                    "UPDATE directory_users AS t SET state = 1, check_at = {now}, checks = 0
                    FROM r WHERE t.app = r.app AND t.uid = r.uid AND t.address <> r.address
                        AND t.state = 0 AND t.changed < {now} - r.age",
                ),
                of.rows(
                    seen,
                    "UPDATE directory_users AS t SET
                        address = r.address, state = 1, check_at = {now}, checks = 0
                    FROM r WHERE t.app = r.app AND t.uid = r.uid AND t.address IS NULL
                        AND t.state <> 2 AND NOT EXISTS (
                            SELECT 1 FROM directory_users AS o
                            WHERE o.app = r.app AND o.address = r.address)",
                ),
                of.rows(
                    seen,
                    "INSERT INTO directory_users
                        (app, address, uid, active, flags, state, check_at, created, changed)
                    SELECT app, address, uid, active, flags, 1, {now}, {now}, {now} FROM r
                    WHERE NOT EXISTS (
                        SELECT 1 FROM directory_users AS o
                        WHERE o.app = r.app AND o.uid = r.uid)
                    ORDER BY app, address
                    ON CONFLICT DO NOTHING",
                ),
            ],
            group_begun: of.rows(
                "app ticket:n lease:n name active:n flags:n",
                "INSERT INTO directory_groups
                    (app, ticket, name, active, flags, state, prior, check_at, created, changed)
                SELECT app, ticket, COALESCE(name, ''), active, flags, 2, 3, {now} + lease,
                    {now}, {now}
                FROM r WHERE NOT EXISTS (
                    SELECT 1 FROM directory_groups AS o
                    WHERE o.app = r.app AND o.ticket = r.ticket AND o.gid IS NULL)",
            ),
            group_begun_by_gid: of.begin(groups, "app gid:n"),
            group_ended: of.end(
                groups,
                "app",
                "t.app = r.app AND t.ticket = r.ticket AND t.gid IS NULL",
                "true",
            ),
            group_ended_by_gid: of.end(groups, "app gid:n", &by("gid"), "t.prior = 3"),
            group_created: [
                of.rows(
                    "app ticket:n",
                    "DELETE FROM directory_groups WHERE id IN (
                        SELECT t.id FROM r JOIN directory_groups AS t
                            ON t.app = r.app AND t.ticket = r.ticket
                        WHERE t.gid IS NULL)",
                ),
                of.rows(
                    "app gid:n ticket:n name active:n flags:n",
                    "INSERT INTO directory_groups AS t
                        (app, gid, ticket, name, active, flags, state, check_at, created, changed)
                    SELECT app, gid, ticket, COALESCE(name, ''), active, flags, 0, {now}, {now},
                        {now}
                    FROM r WHERE true ORDER BY app, gid
                    ON CONFLICT (app, gid) DO UPDATE SET
                        ticket = excluded.ticket,
                        name = excluded.name,
                        active = COALESCE(excluded.active, t.active),
                        flags = COALESCE(excluded.flags, t.flags),
                        state = 0,
                        changed = excluded.changed",
                ),
            ],
            group_edited: of.rows(
                &format!("{of_group} name active:n flags:n"),
                "UPDATE directory_groups AS t SET
                    name = COALESCE(r.name, t.name),
                    active = COALESCE(r.active, t.active),
                    flags = COALESCE(r.flags, t.flags),
                    state = {confirmed_if_ours},
                    ticket = {ticket},
                    check_at = {now},
                    changed = {now}
                FROM r WHERE t.app = r.app AND t.gid = r.gid",
            ),
            group_deleted: [
                of.rows(
                    of_group,
                    "DELETE FROM directory_members WHERE id IN (
                        SELECT m.id FROM r
                        JOIN directory_groups AS t ON t.app = r.app AND t.gid = r.gid
                        JOIN directory_members AS m ON m.app = t.app AND m.gid = t.gid
                        WHERE t.ticket = r.ticket)",
                ),
                of.rows(
                    of_group,
                    "DELETE FROM directory_groups WHERE id IN (
                        SELECT t.id FROM r
                        JOIN directory_groups AS t ON t.app = r.app AND t.gid = r.gid
                        WHERE t.ticket = r.ticket)",
                ),
            ],
            group_known: of.rows(
                "app gid:n",
                "INSERT INTO directory_groups (app, gid, state, check_at, created, changed)
                SELECT app, gid, 0, {now}, {now}, {now} FROM r WHERE true ORDER BY app, gid
                ON CONFLICT DO NOTHING",
            ),
            members_begun: of.begin(members, "app gid:n address"),
            members_ended: of.end(
                members,
                "app gid:n address",
                "t.app = r.app AND t.gid = r.gid AND t.address = r.address",
                "t.prior = 3",
            ),
            members_added: of.rows(
                &format!("{member} known:n granted:n"),
                "UPDATE directory_members AS t SET
                    known = t.known | r.known,
                    granted = (t.granted & ~r.known) | r.granted,
                    state = {confirmed_if_ours},
                    ticket = {ticket},
                    check_at = {now},
                    changed = {now}
                FROM r WHERE t.app = r.app AND t.gid = r.gid AND t.address = r.address",
            ),
            members_removed: of.rows(
                member,
                "DELETE FROM directory_members WHERE id IN (
                    SELECT t.id FROM r JOIN directory_members AS t
                        ON t.app = r.app AND t.gid = r.gid AND t.address = r.address
                    WHERE t.ticket = r.ticket)",
            ),
            members_seen: [
                of.rows(
                    "app gid:n address known:n granted:n age:n",
                    "UPDATE directory_members AS t SET
                        known = t.known | r.known,
                        granted = (t.granted & ~r.known) | r.granted,
                        changed = {now}
                    FROM r WHERE t.app = r.app AND t.gid = r.gid AND t.address = r.address
                        AND t.state = 0 AND t.changed < {now} - r.age
                        AND (t.known & r.known <> r.known OR t.granted & r.known <> r.granted)",
                ),
                of.rows(
                    "app gid:n address known:n granted:n age:n",
                    "INSERT INTO directory_members
                        (app, gid, address, known, granted, state, check_at, created, changed)
                    SELECT app, gid, address, known, granted, 0, {now}, {now}, {now} FROM r
                    WHERE true ORDER BY app, gid, address
                    ON CONFLICT DO NOTHING",
                ),
            ],
            resolved_found: [
                of.rows(
                    resolved,
                    &format!(
                        "DELETE FROM directory_users WHERE id IN (
                            SELECT o.id FROM r
                            JOIN directory_users AS t ON {is_still}
                            JOIN directory_users AS o ON o.app = t.app AND o.uid = r.uid
                            WHERE o.id <> t.id)"
                    ),
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
                        FROM r WHERE {is_still}"
                    ),
                ),
            ],
            resolved_absent: [
                of.rows(
                    resolved,
                    &format!(
                        "DELETE FROM directory_members WHERE id IN (
                            SELECT m.id FROM r
                            JOIN directory_users AS t ON {is_still}
                            JOIN directory_members AS m
                                ON m.app = t.app AND m.address = t.address)"
                    ),
                ),
                of.rows(
                    resolved,
                    &format!(
                        "DELETE FROM directory_users WHERE id IN (
                            SELECT t.id FROM r JOIN directory_users AS t ON {is_still})"
                    ),
                ),
            ],
            forget: [
                of.rows(
                    "app address",
                    "DELETE FROM directory_members WHERE id IN (
                        SELECT t.id FROM r JOIN directory_members AS t
                            ON t.app = r.app AND t.address = r.address)",
                ),
                of.rows(
                    "app address",
                    "DELETE FROM directory_users WHERE id IN (
                        SELECT t.id FROM r JOIN directory_users AS t
                            ON t.app = r.app AND t.address = r.address)",
                ),
            ],
            user_by_uid: of
                .text("SELECT {user} FROM directory_users AS t WHERE t.app = $1 AND t.uid = $2"),
            user_by_address: of.text(
                "SELECT {user} FROM directory_users AS t WHERE t.app = $1 AND t.address = $2",
            ),
            users_page: [page(""), page("AND t.active = 1"), page("AND t.active = 0")],
            group: of
                .text("SELECT {group} FROM directory_groups AS t WHERE t.app = $1 AND t.gid = $2"),
            groups_page: of.text(
                "SELECT {group} FROM directory_groups AS t
                WHERE t.app = $1 AND (t.name, t.id) > ($2, $3) AND t.name < $4
                ORDER BY t.name, t.id LIMIT $5",
            ),
            groups_of_member: of.text(
                "SELECT {group} FROM directory_members AS m
                JOIN directory_groups AS t ON t.app = m.app AND t.gid = m.gid
                WHERE m.app = $1 AND m.address = $2 AND m.gid > $3
                    AND t.name >= $4 AND t.name < $5
                ORDER BY m.gid LIMIT $6",
            ),
            members_page: of.text(
                "SELECT {member} FROM directory_members AS t
                WHERE t.app = $1 AND t.gid = $2 AND t.address > $3
                ORDER BY t.address LIMIT $4",
            ),
            is_due: of.text(
                "SELECT {user} FROM directory_users AS t
                WHERE t.app = $1 AND t.state <> 0 AND t.check_at <= {now}
                    AND t.address NOT LIKE '%*%'
                LIMIT 1",
            ),
            take_turn: of.text(
                "INSERT INTO directory_turns AS t (app, next_at) VALUES ($1, {now} + $2)
                ON CONFLICT (app) DO UPDATE SET next_at = excluded.next_at
                WHERE t.next_at <= {now}
                RETURNING CAST(0 AS bigint), CAST(NULL AS bigint), CAST(NULL AS text),
                    CAST(NULL AS text), CAST(NULL AS bigint), CAST(NULL AS bigint),
                    CAST(0 AS bigint), CAST(0 AS bigint), CAST(0 AS bigint)",
            ),
            // The number is the ticket. Ten pauses, from 15 s to an hour.
            take_due: of.text(
                "UPDATE directory_users SET
                    check_at = {now} + CASE WHEN checks < 8 THEN 15000 * (1 << checks)
                        ELSE 3600000 END,
                    checks = CASE WHEN checks < 8 THEN checks + 1 ELSE checks END
                WHERE id = (
                    SELECT t.id FROM directory_users AS t
                    WHERE t.app = $1 AND t.state <> 0 AND t.check_at <= {now}
                        AND t.address NOT LIKE '%*%'
                    ORDER BY t.check_at LIMIT 1 {skip_locked})
                RETURNING id, ticket, address, CAST(NULL AS text), CAST(NULL AS bigint),
                    CAST(NULL AS bigint), CAST(state AS bigint), created, changed",
            ),
            uncertain: [
                uncertain("directory_users"),
                uncertain("directory_groups"),
                uncertain("directory_members"),
            ],
        }
    }
}
