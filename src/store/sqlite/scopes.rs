//! Whose ids there are in the file, each by a number.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use rusqlite::{Connection, params};

use crate::store::Key;

/// The most numbers that are kept in memory.
const MAX_KNOWN: usize = 10_000;

/// Gives a scope its number, unless it has one.
///
/// ?1: app; ?2: caller; ?3: RPC.
const NUMBER: &str = "
    INSERT INTO scopes (app, caller, rpc) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET app = excluded.app
    RETURNING number";

/// The numbers that are known of the file. There, a number is given once, and stays.
#[derive(Clone, Default)]
pub(super) struct Scopes(HashMap<Scope, i64>);

/// App, caller and RPC.
type Scope = (Arc<str>, Arc<str>, &'static str);

impl Scopes {
    /// Learns the numbers of these keys, by the connection that writes.
    pub(super) fn learn<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a Key>,
        connection: &Connection,
    ) -> rusqlite::Result<()> {
        if self.0.len() > MAX_KNOWN {
            self.0.clear();
        }
        for key in keys {
            if let Entry::Vacant(place) = self.0.entry(scope(key)) {
                let number = connection
                    .prepare_cached(NUMBER)?
                    .query_row(params![key.app, key.caller, key.rpc], |row| row.get(0))?;
                place.insert(number);
            }
        }
        Ok(())
    }

    /// The number of a key's scope: 0, which no scope has, if it was not learnt.
    pub(super) fn number(&self, key: &Key) -> i64 {
        self.0.get(&scope(key)).copied().unwrap_or_default()
    }
}

fn scope(key: &Key) -> Scope {
    (Arc::clone(&key.app), Arc::clone(&key.caller), key.rpc)
}
