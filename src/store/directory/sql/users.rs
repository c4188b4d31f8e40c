//! The statements of users.

use super::{
    CONFIRMED, UNCERTAIN,
    dialect::{Dialect, IS_OURS, MEMBERS, USERS, by},
};

pub(super) const COLUMNS: &str = "t.uid, t.address, t.name, CAST(t.active AS bigint),
    t.flags, CAST(t.state AS bigint), t.created, t.changed";

/// Marks a user that is to be looked up.
const DOUBT: &str = "UPDATE directory_users AS t SET state = 1, check_at = {now}, checks = 0
    FROM r WHERE t.app = r.app";

/// What lets a list change an entry: no write of it since the list was asked for.
const UNCHANGED: &str = "t.state = 0 AND t.changed < {now} - r.age";

const EXISTING: &str = "app address uid:n name active:n flags:n n:n";

const CREATED: &str = "app address uid:n ticket:n name active:n";

const SEEN: &str = "app address uid:n active:n flags:n age:n";

/// The statements of users.
#[derive(Debug)]
pub(in crate::store::directory) struct UserStatements {
    pub(in crate::store::directory) begun: String,
    pub(in crate::store::directory) begun_by_address: String,
    pub(in crate::store::directory) ended: [String; 2],
    pub(in crate::store::directory) ended_by_address: [String; 2],
    /// Without what goes before, a created user may violate a constraint.
    pub(in crate::store::directory) before_created: [String; 2],
    pub(in crate::store::directory) created: String,
    pub(in crate::store::directory) disputed: String,
    pub(in crate::store::directory) edited: String,
    pub(in crate::store::directory) deleted: [String; 2],
    pub(in crate::store::directory) missed: String,
    pub(in crate::store::directory) seen: [String; 5],
    pub(in crate::store::directory) forget: [String; 2],
    pub(in crate::store::directory) existing: [String; 2],
    /// Confirms those of them that only a list of Mesibo's has brought by.
    pub(in crate::store::directory) existing_confirmed: String,
    /// Those whom the directory has otherwise. The id is the number of the row.
    pub(in crate::store::directory) existing_otherwise: String,
    pub(in crate::store::directory) by_uid: String,
    pub(in crate::store::directory) by_address: String,
    /// Of users that may be enabled or not, that are enabled, and that are not.
    pub(in crate::store::directory) page: [String; 3],
}

impl UserStatements {
    pub(super) fn new(of: &Dialect) -> Self {
        let of_user = "app uid:n ticket:n";
        let by_uid = by("uid");
        let page = |active: &str| {
            let which = format!("t.app = ?1 AND t.address >= ?3 AND t.address < ?4 {active}");
            of.page(COLUMNS, "directory_users AS t", &which, "t.address")
        };
        Self {
            begun: of.begin(USERS, "app uid:n"),
            begun_by_address: of.begin(USERS, "app address"),
            // Without an address, nothing is left to look a user up by.
            ended: of.end(USERS, "app uid:n", &by_uid, "t.address IS NULL"),
            ended_by_address: of.end(USERS, "app address", &by("address"), "false"),
            // The user of a uid that no address is known for may be one that is being made:
            // it stays uncertain then.
            disputed: of.rows(
                of_user,
                "UPDATE directory_users AS o SET ticket = -abs(r.ticket)
                FROM r JOIN directory_users AS t ON t.app = r.app AND t.uid = r.uid
                WHERE t.address IS NULL AND t.ticket = r.ticket
                    AND o.app = r.app AND o.state <> 0 AND o.uid IS NULL",
            ),
            before_created: before_created(of),
            created: created(of),
            edited: of.rows(
                &format!("{of_user} flags:n active:n"),
                "UPDATE directory_users AS t SET
                    flags = COALESCE(r.flags, t.flags),
                    active = COALESCE(r.active, t.active),
                    state = {confirmed_if_ours},
                    ticket = {ticket},
                    check_at = {check_at},
                    checks = 0,
                    changed = {now}
                FROM r WHERE t.app = r.app AND t.uid = r.uid",
            ),
            deleted: deleted(of, of_user, &by_uid, IS_OURS),
            missed: of.rows(
                "app uid:n",
                &format!("{DOUBT} AND t.uid = r.uid AND t.state = 0"),
            ),
            seen: seen(of),
            forget: [MEMBERS, USERS].map(|table| {
                let entry = format!("{table} AS t ON {}", by("address"));
                of.delete((table, "t"), "app address", &entry, "true")
            }),
            existing: existing(of),
            existing_confirmed: of.rows(
                EXISTING,
                "UPDATE directory_users AS t SET
                    name = COALESCE(t.name, r.name),
                    state = 0, check_at = {now}, checks = 0, changed = {now}
                FROM r WHERE t.app = r.app AND t.address = r.address AND t.uid = r.uid
                    AND t.state = 1 AND t.ticket = 0",
            ),
            existing_otherwise: of.rows(
                EXISTING,
                "SELECT r.n, t.uid, o.address, CAST(NULL AS text), CAST(NULL AS bigint),
                    CAST(NULL AS bigint), CAST(0 AS bigint), CAST(0 AS bigint), CAST(0 AS bigint)
                FROM r
                LEFT JOIN directory_users AS t ON t.app = r.app AND t.address = r.address
                LEFT JOIN directory_users AS o ON o.app = r.app AND o.uid = r.uid
                WHERE t.uid IS NULL OR t.uid <> r.uid
                ORDER BY r.n",
            ),
            by_uid: of.look_up(USERS, COLUMNS, "uid:n"),
            by_address: of.look_up(USERS, COLUMNS, "address"),
            page: [page(""), page("AND t.active = 1"), page("AND t.active = 0")],
        }
    }
}

/// Deletes users, after their places in groups. `on` joins rows to the users.
pub(super) fn deleted(of: &Dialect, columns: &str, on: &str, which: &str) -> [String; 2] {
    let user = format!("{USERS} AS t ON {on}");
    let places = format!("{user} JOIN {MEMBERS} AS m ON m.app = t.app AND m.address = t.address");
    [
        of.delete((MEMBERS, "m"), columns, &places, which),
        of.delete((USERS, "t"), columns, &user, which),
    ]
}

/// Makes room for the uid of a created user.
fn before_created(of: &Dialect) -> [String; 2] {
    [
        // Another write of it, by its uid, may be under way, or its outcome is not known.
        of.rows(
            CREATED,
            "UPDATE directory_users AS t SET
                ticket = -abs(r.ticket),
                state = 2,
                check_at = CASE WHEN o.state = 2
                        AND ({ours} OR t.state <> 2 OR o.check_at > t.check_at)
                    THEN o.check_at ELSE {check_at} END
            FROM r JOIN directory_users AS o ON o.app = r.app AND o.uid = r.uid
            WHERE t.app = r.app AND t.address = r.address AND o.id <> t.id
                AND o.state <> 0",
        ),
        // Mesibo has just said whose id it is.
        of.delete(
            (USERS, "t"),
            CREATED,
            &format!("{USERS} AS t ON {}", by("uid")),
            "t.address IS NULL OR t.address <> r.address",
        ),
    ]
}

fn created(of: &Dialect) -> String {
    // Without an intent it may have been deleted since.
    of.rows(
        CREATED,
        "INSERT INTO directory_users AS t
            (app, address, uid, ticket, name, active, state, check_at, created, changed)
        SELECT app, address, uid, ticket, name, active, 1, {now}, {now}, {now}
        FROM r WHERE true {by_address}
        ON CONFLICT (app, address) DO UPDATE SET
            uid = excluded.uid,
            name = COALESCE(excluded.name, t.name),
            active = COALESCE(excluded.active, t.active, 1),
            state = {confirmed_if_ours},
            ticket = {ticket},
            check_at = {check_at},
            checks = 0,
            changed = excluded.changed",
    )
    // What is inserted has no other name here.
    .replace("r.ticket", "excluded.ticket")
}

fn existing(of: &Dialect) -> [String; 2] {
    [
        address_learned(
            of,
            EXISTING,
            "name = COALESCE(t.name, r.name), changed = {now}",
        ),
        added(of, EXISTING, "name, active, flags", CONFIRMED),
    ]
}

fn seen(of: &Dialect) -> [String; 5] {
    let doubt = |which: &str| of.rows(SEEN, &format!("{DOUBT} AND {which} AND {UNCHANGED}"));
    [
        of.rows(
            SEEN,
            &format!(
                "UPDATE directory_users AS t SET
                    active = COALESCE(r.active, t.active),
                    flags = COALESCE(r.flags, t.flags),
                    changed = {{now}}
                FROM r WHERE t.app = r.app AND t.address = r.address AND t.uid = r.uid
                    AND {UNCHANGED}
                    AND (r.active <> COALESCE(t.active, -1)
                        OR r.flags <> COALESCE(t.flags, -1))"
            ),
        ),
        doubt("t.address = r.address AND COALESCE(t.uid, 0) <> r.uid"),
        doubt("t.uid = r.uid AND t.address <> r.address"),
        address_learned(of, SEEN, "state = 1, check_at = {now}, checks = 0"),
        added(of, SEEN, "active, flags", UNCERTAIN),
    ]
}

/// Gives an address, and what else is `set`, to users of whom only the uid was known.
fn address_learned(of: &Dialect, columns: &str, set: &str) -> String {
    of.rows(
        columns,
        &format!(
            "UPDATE directory_users AS t SET address = r.address, {set}
            FROM r WHERE t.app = r.app AND t.uid = r.uid AND t.address IS NULL
                AND t.state <> 2 AND NOT EXISTS (
                    SELECT 1 FROM directory_users AS o
                    WHERE o.app = r.app AND o.address = r.address)"
        ),
    )
}

/// Adds users of whom there is no entry, in a state, with what is `known` of them.
fn added(of: &Dialect, columns: &str, known: &str, state: i64) -> String {
    of.rows(
        columns,
        &format!(
            "INSERT INTO directory_users
                (app, address, uid, {known}, state, check_at, created, changed)
            SELECT app, address, uid, {known}, {state}, {{now}}, {{now}}, {{now}} FROM r
            WHERE NOT EXISTS (
                SELECT 1 FROM directory_users AS o
                WHERE o.app = r.app AND o.uid = r.uid)
            {{by_address}}
            ON CONFLICT DO NOTHING"
        ),
    )
}
