//! How rows go to and come from a database.

use std::borrow::Cow;

use serde::Serialize;

use super::query::MAX_BYTES;
use crate::store::database::Failure;

/// A database that the directory is in. Calls of a [`Backend`] may overlap.
pub(in crate::store) trait Backend: Send + Sync + 'static {
    /// Carries out steps in their order, durably. A failure leaves it open how many of them
    /// were carried out: each may be repeated.
    fn run(&self, steps: &[Step]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads rows.
    fn fetch(&self, fetch: Fetch) -> impl Future<Output = Result<Vec<Row>, Failure>> + Send;
}

/// A statement, and the rows that it is for: a JSON array of arrays.
#[derive(Clone, Debug)]
pub(in crate::store) struct Step {
    /// Statements for the same rows. Without them, this one may violate a constraint; where
    /// it does not, they change nothing.
    pub(in crate::store) before: &'static [String],
    pub(in crate::store) sql: &'static str,
    pub(in crate::store) rows: String,
}

impl Step {
    /// Statements for the same rows.
    pub(super) fn each(
        statements: impl IntoIterator<Item = &'static String>,
        rows: &str,
    ) -> Vec<Self> {
        let steps = statements.into_iter().map(|sql| Self {
            before: &[],
            sql,
            rows: rows.to_owned(),
        });
        steps.collect()
    }
}

/// A statement that answers rows, and its parameters.
#[derive(Clone, Debug)]
pub(in crate::store) struct Fetch {
    pub(in crate::store) sql: &'static str,
    pub(in crate::store) binds: Vec<Bind>,
    /// Whether the statement writes, too.
    pub(in crate::store) writes: bool,
}

/// A parameter.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(in crate::store) enum Bind {
    Text(String),
    Number(i64),
}

/// A row, of whichever table. A statement that has no use for a column gives NULL or 0.
#[derive(Clone, Debug)]
pub(in crate::store) struct Row {
    pub(in crate::store) id: i64,
    /// The uid or gid.
    pub(in crate::store) number: Option<i64>,
    pub(in crate::store) address: Option<String>,
    pub(in crate::store) name: Option<String>,
    pub(in crate::store) active: Option<i64>,
    pub(in crate::store) flags: Option<i64>,
    pub(in crate::store) state: i64,
    pub(in crate::store) created: i64,
    pub(in crate::store) changed: i64,
}

/// The columns of a [`Row`], in their order.
pub(in crate::store) type Columns = (
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    i64,
    i64,
    i64,
);

impl From<Columns> for Row {
    fn from(columns: Columns) -> Self {
        let (id, number, address, name, active, flags, state, created, changed) = columns;
        Self {
            id,
            number,
            address,
            name,
            active,
            flags,
            state,
            created,
            changed,
        }
    }
}

/// A JSON array of rows, each of which is a tuple of texts and numbers.
pub(super) fn json<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    serde_json::to_string(&rows).expect("it has texts and numbers alone")
}

/// Ids as the database has them.
pub(super) fn number(id: u64) -> i64 {
    id.cast_signed()
}

/// A text as the database has it: not too long for an index, and without NULs, which
/// PostgreSQL does not take.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    let kept = &text[..text.floor_char_boundary(MAX_BYTES)];
    if kept.contains('\0') {
        kept.replace('\0', "\u{fffd}").into()
    } else {
        kept.into()
    }
}
