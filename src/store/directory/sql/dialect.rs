//! What differs between the databases, and the shapes that statements share.

pub(super) const USERS: &str = "directory_users";
pub(super) const GROUPS: &str = "directory_groups";
pub(super) const MEMBERS: &str = "directory_members";

/// What differs between the databases.
#[derive(Debug)]
pub(super) struct Dialect {
    /// What a parameter begins with, before its number.
    parameter: &'static str,
    /// A table with the column `value`, a row for each entry of the JSON array that is the
    /// one parameter.
    each: &'static str,
    /// The entry `{n}` of a `value`, of a type.
    entry: &'static str,
    /// Milliseconds since 1970-01-01 UTC.
    now: &'static str,
    skip_locked: &'static str,
    /// Whether statements that run side by side lock one row after the other: all do in the
    /// same order.
    locks_rows: bool,
}

pub(super) const SQLITE: Dialect = Dialect {
    parameter: "?",
    each: "jsonb_each(?1)",
    // Its values keep their types. A path, for SQLite makes one of a number for each value.
    entry: "value->>'$[{n}]'",
    now: "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
    skip_locked: "",
    locks_rows: false,
};

pub(super) const POSTGRES: Dialect = Dialect {
    parameter: "$",
    each: "json_array_elements(CAST(?1 AS json))",
    entry: "CAST(value->>{n} AS {type})",
    now: "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
    skip_locked: "FOR UPDATE SKIP LOCKED",
    locks_rows: true,
};

/// Whether an entry is as this write left it: no other was under way when it began, and none
/// has begun since.
pub(super) const IS_OURS: &str = "t.ticket = r.ticket AND t.prior <> 2";

/// The ticket after a write: nobody's, if it was not alone.
const TICKET: &str = "CASE WHEN {ours} THEN t.ticket ELSE -abs(r.ticket) END";

/// The state after a write that was carried out. While another one may be under way, the entry
/// cannot be looked up.
const CONFIRMED_IF_OURS: &str = "CASE WHEN {ours} THEN 0 WHEN t.state = 2 THEN 2 ELSE 1 END";

/// When an entry may be looked up after a write that was carried out.
const CHECK_AT: &str = "CASE WHEN {ours} OR t.state <> 2 THEN {now} ELSE t.check_at END";

impl Dialect {
    /// A statement with what differs between the databases, and what many have, put in.
    pub(super) fn text(&self, sql: &str) -> String {
        sql.replace("{ticket}", TICKET)
            .replace("{confirmed_if_ours}", CONFIRMED_IF_OURS)
            .replace("{check_at}", CHECK_AT)
            .replace("{ours}", IS_OURS)
            .replace("{by_address}", &self.in_order("app, address"))
            .replace("{by_gid}", &self.in_order("app, gid"))
            .replace("{by_member}", &self.in_order("app, gid, address"))
            .replace("{each}", self.each)
            .replace("{now}", self.now)
            .replace("{skip_locked}", self.skip_locked)
            .replace('?', self.parameter)
    }

    /// The order in which rows are locked, if they are.
    fn in_order(&self, key: &str) -> String {
        let order = self.locks_rows.then(|| format!("ORDER BY {key}"));
        order.unwrap_or_default()
    }

    /// A statement for rows with these columns: `r` stands for them. A name that ends with
    /// `:n` is a number.
    pub(super) fn rows(&self, columns: &str, sql: &str) -> String {
        let columns = columns.split_whitespace().enumerate().map(|(n, column)| {
            let name = column.trim_end_matches(":n");
            let of_type = if name == column { "text" } else { "bigint" };
            let entry = self.entry.replace("{n}", &n.to_string());
            format!("{} AS {name}", entry.replace("{type}", of_type))
        });
        let columns: Vec<_> = columns.collect();
        let rows = format!("WITH r AS (SELECT {} FROM {{each}}) ", columns.join(", "));
        self.text(&(rows + sql))
    }

    /// Takes entries for a write, by this key: new ones, or those that there are. The index of
    /// the key may leave out what has none.
    pub(super) fn begin(&self, table: &str, key: &str) -> String {
        let names = names(key);
        let columns = names.join(", ");
        let last = names[names.len() - 1];
        let in_order = self.in_order(&columns);
        self.rows(
            &format!("{key} ticket:n lease:n"),
            &format!(
                "INSERT INTO {table} AS t
                    ({columns}, ticket, state, prior, check_at, created, changed)
                SELECT {columns}, ticket, 2, 3, {{now}} + lease, {{now}}, {{now}} FROM r
                WHERE true {in_order}
                ON CONFLICT ({columns}) WHERE {last} IS NOT NULL DO UPDATE SET
                    prior = CASE WHEN t.ticket = excluded.ticket THEN t.prior
                        WHEN t.state <> 2 THEN t.state
                        WHEN t.check_at > {{now}} THEN 2 ELSE 1 END,
                    state = CASE WHEN t.ticket = excluded.ticket THEN t.state ELSE 2 END,
                    ticket = excluded.ticket,
                    check_at = CASE WHEN t.state = 2 AND t.check_at > excluded.check_at
                        THEN t.check_at ELSE excluded.check_at END"
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
                "{{ours}} AND t.state = 2
                    AND (r.fate = 0 AND t.prior = 3 OR r.fate = 2 AND {missing})"
            ),
        );
        let end = format!(
            "UPDATE {table} AS t SET
                state = CASE WHEN t.state <> 2 THEN CASE WHEN {{ours}} THEN t.state ELSE 1 END
                    WHEN NOT ({{ours}}) THEN 2
                    WHEN r.fate = 0 THEN t.prior ELSE 1 END,
                ticket = {{ticket}},
                check_at = CASE WHEN t.state = 2 AND NOT ({{ours}})
                        AND t.check_at > {{now}} + r.delay
                    THEN t.check_at ELSE {{now}} + r.delay END
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

    /// Finds entries of a table for rows of a number, an app and a key, which is a column as
    /// in [`Dialect::rows`]. In the place of an entry's id, the answer has the number.
    pub(super) fn look_up(&self, table: &str, columns: &str, key: &str) -> String {
        let on = by(key.trim_end_matches(":n"));
        self.rows(
            &format!("n:n app {key}"),
            &format!("SELECT r.n, {columns} FROM r JOIN {table} AS t ON {on}"),
        )
    }

    /// A page of an app, `?1`, of at most `?2` entries: of `t`, which `from` has, those
    /// behind a key, in its order. Every page is read by an index that has the key.
    pub(super) fn page(&self, columns: &str, from: &str, which: &str, order: &str) -> String {
        self.text(&format!(
            "SELECT t.id, {columns} FROM {from} WHERE {which} ORDER BY {order} LIMIT ?2"
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
