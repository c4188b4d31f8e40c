//! What differs between the databases, and the shapes that statements share.

pub(super) const USERS: &str = "directory_users";
pub(super) const GROUPS: &str = "directory_groups";
pub(super) const MEMBERS: &str = "directory_members";

/// What differs between the databases.
#[derive(Debug)]
pub(super) struct Dialect {
    /// A table with the column `value`, a row for each entry of the JSON array `$1`.
    each: &'static str,
    /// Milliseconds since 1970-01-01 UTC.
    now: &'static str,
    skip_locked: &'static str,
}

pub(super) const SQLITE: Dialect = Dialect {
    each: "json_each($1)",
    now: "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
    skip_locked: "",
};

pub(super) const POSTGRES: Dialect = Dialect {
    each: "json_array_elements(CAST($1 AS json))",
    now: "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
    skip_locked: "FOR UPDATE SKIP LOCKED",
};

/// Whose ticket it is decides: an entry that another write has taken since stays uncertain,
/// with a ticket that is nobody's.
const TICKET: &str = "CASE WHEN t.ticket = r.ticket THEN t.ticket ELSE -abs(r.ticket) END";

const CONFIRMED_IF_OURS: &str = "CASE WHEN t.ticket = r.ticket THEN 0 ELSE 1 END";

impl Dialect {
    /// A statement with what differs between the databases, and what many have, put in.
    pub(super) fn text(&self, sql: &str) -> String {
        sql.replace("{each}", self.each)
            .replace("{now}", self.now)
            .replace("{skip_locked}", self.skip_locked)
            .replace("{ticket}", TICKET)
            .replace("{confirmed_if_ours}", CONFIRMED_IF_OURS)
    }

    /// A statement for rows with these columns: `r` stands for them. A name that ends with
    /// `:n` is a number.
    pub(super) fn rows(&self, columns: &str, sql: &str) -> String {
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
    pub(super) fn begin(&self, table: &str, key: &str) -> String {
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
    pub(super) fn end(&self, table: &str, key: &str, on: &str, missing: &str) -> [String; 2] {
        let columns = format!("{key} ticket:n fate:n delay:n");
        let remove = self.delete(
            (table, "t"),
            &columns,
            &format!("{table} AS t ON {on}"),
            &format!(
                "t.ticket = r.ticket AND t.state = 2
                    AND (r.fate = 0 AND t.prior = 3 OR r.fate = 2 AND {missing})"
            ),
        );
        let end = format!(
            "UPDATE {table} AS t SET
                state = CASE WHEN t.ticket <> r.ticket THEN 1 WHEN t.state <> 2 THEN t.state
                    WHEN r.fate = 0 THEN t.prior ELSE 1 END,
                ticket = {{ticket}},
                check_at = {{now}} + r.delay
            FROM r WHERE {on}"
        );
        [remove, self.rows(&columns, &end)]
    }

    /// Deletes entries of a table, which has this alias in what rows are joined to.
    pub(super) fn delete(
        &self,
        (table, alias): (&str, &str),
        columns: &str,
        joins: &str,
        which: &str,
    ) -> String {
        self.rows(
            columns,
            &format!(
                "DELETE FROM {table} WHERE id IN (
                    SELECT {alias}.id FROM r JOIN {joins} WHERE {which})"
            ),
        )
    }

    /// A page of an app, `$1`, of at most `$2` entries: of `t`, which `from` has, those
    /// behind a key, in its order. Every page is read by an index that has the key.
    pub(super) fn page(&self, columns: &str, from: &str, which: &str, order: &str) -> String {
        self.text(&format!(
            "SELECT {columns} FROM {from} WHERE {which} ORDER BY {order} LIMIT $2"
        ))
    }
}

/// What joins rows to the entries `t` with the same app and the same value of this column.
pub(super) fn by(column: &str) -> String {
    format!("t.app = r.app AND t.{column} = r.{column}")
}

/// The names of columns.
fn names(columns: &str) -> Vec<&str> {
    let names = columns.split_whitespace();
    names.map(|name| name.trim_end_matches(":n")).collect()
}
