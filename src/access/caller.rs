//! A caller, and what it may do.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use hashbrown::HashMap;

use super::{key::Key, pattern::Pattern, share::Share};
use crate::call::{Apps, Rate};

/// The name of every caller while the settings define none.
pub const ANONYMOUS: &str = "anonymous";

/// A caller, and what it may do. `None` is no limit.
#[derive(Debug)]
pub struct Caller {
    /// The name, for people and logs.
    pub name: Arc<str>,
    /// The keys: several, so that one can replace another.
    pub keys: Vec<Key>,
    /// The names in the client certificates, DNS or URI.
    pub certificates: Vec<String>,
    /// The full names of the RPCs that the caller may call.
    pub may_call: Option<HashSet<&'static str>>,
    /// The names of the apps that the caller may use.
    pub apps: Option<HashSet<Arc<str>>>,
    /// The addresses that the caller may send messages from.
    pub from_addresses: Option<Vec<Pattern>>,
    /// The values of `app_id` that the caller may make and delete user tokens for.
    pub app_ids: Option<HashSet<String>>,
    /// Whether the caller may read the access tokens of the users that it lists, as far as
    /// [`Self::app_ids`] go. Setting `read-tokens`, by default false.
    pub read_tokens: bool,
    /// How many units a second the caller's calls may take, all apps together.
    pub rate: Option<Arc<Rate>>,
    /// How many operations the caller may have in flight for an app. Setting
    /// `max-in-flight`; `None` is half of what the app may have, `upstream-max-in-flight`.
    pub max_in_flight: Option<NonZeroUsize>,
}

impl Caller {
    /// The caller that everyone is while the settings define none. It reads tokens, since
    /// it may make them as well.
    pub(super) fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.into(),
            keys: Vec::new(),
            certificates: Vec::new(),
            may_call: None,
            apps: None,
            from_addresses: None,
            app_ids: None,
            read_tokens: true,
            rate: None,
            max_in_flight: None,
        }
    }

    /// Whether the caller may call an RPC.
    #[must_use]
    pub fn may_call(&self, rpc: &str) -> bool {
        self.may_call.as_ref().is_none_or(|rpcs| rpcs.contains(rpc))
    }

    /// Whether the caller may use the app of this name.
    #[must_use]
    pub fn may_use(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.contains(app))
    }

    /// Whether the caller may send messages from an address.
    #[must_use]
    pub fn may_send_from(&self, address: &str) -> bool {
        let patterns = self.from_addresses.as_ref();
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(address)))
    }

    /// Whether the caller may make and delete user tokens for an `app_id`, or, with `None`, for
    /// every `app_id`.
    #[must_use]
    pub fn may_grant(&self, app_id: Option<&str>) -> bool {
        let allowed = self.app_ids.as_ref();
        allowed.is_none_or(|allowed| app_id.is_some_and(|app_id| allowed.contains(app_id)))
    }

    /// Whether the caller may read the access token of a user that is listed with this
    /// `app_id`.
    #[must_use]
    pub fn may_read_token(&self, app_id: Option<&str>) -> bool {
        self.read_tokens && self.may_grant(app_id)
    }

    /// The shares for the apps that the caller may use.
    pub(super) fn shares(&self, apps: &Apps) -> HashMap<Arc<str>, Share> {
        let apps = apps.iter().filter(|app| self.may_use(&app.name));
        apps.filter_map(|app| {
            let share = Share::new(self.max_in_flight, app)?;
            Some((Arc::clone(&app.name), share))
        })
        .collect()
    }
}
