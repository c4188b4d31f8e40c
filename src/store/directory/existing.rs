//! Users whom Mesibo had before the directory.

use super::{
    rows::{Bind, Fetch, Row, Step, json, number, text},
    sql::Statements,
};

/// A user whom Mesibo had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingUser {
    /// Its id.
    pub uid: u64,
    /// Its address.
    pub address: String,
    /// Its display name, if it is known.
    pub name: Option<String>,
    /// Whether it is enabled, if that is known.
    pub active: Option<bool>,
    /// Mesibo's flags, if they are known.
    pub flags: Option<u32>,
}

/// An existing user whom the directory has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which of the users it is, from 0.
    pub index: usize,
    /// The uid that the directory has for its address, if it has both.
    pub uid: Option<u64>,
    /// The address that the directory has for its uid, if it has both.
    pub address: Option<String>,
}

/// The steps that add users.
pub(in crate::store) fn existing_steps(
    statements: &'static Statements,
    app: &str,
    users: &[ExistingUser],
    is_verified: bool,
) -> Vec<Step> {
    let to = &statements.users;
    let confirm = is_verified.then_some(&to.existing_confirmed);
    Step::each(to.existing.iter().chain(confirm), &rows(app, users))
}

/// Reads those whom the directory has otherwise, or not at all.
pub(in crate::store) fn existing_fetch(
    statements: &'static Statements,
    app: &str,
    users: &[ExistingUser],
) -> Fetch {
    Fetch {
        sql: &statements.users.existing_otherwise,
        binds: vec![Bind::Text(rows(app, users))],
        writes: false,
    }
}

pub(in crate::store) fn conflicts_of(rows: Vec<Row>) -> Vec<Conflict> {
    let conflicts = rows.into_iter().map(|row| Conflict {
        index: usize::try_from(row.id).unwrap_or_default(),
        uid: row.number.map(i64::cast_unsigned),
        address: row.address,
    });
    conflicts.collect()
}

fn rows(app: &str, users: &[ExistingUser]) -> String {
    let rows = users.iter().enumerate().map(|(index, user)| {
        let ExistingUser {
            uid,
            address,
            name,
            active,
            flags,
        } = user;
        let (name, active) = (name.as_deref().map(text), active.map(i64::from));
        (app, text(address), number(*uid), name, active, flags, index)
    });
    json(rows)
}
