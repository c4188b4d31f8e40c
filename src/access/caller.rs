//! The callers, and what each may do.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

use super::{key::Key, keys::Keys, pattern::Pattern, share::Share};
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

/// The callers that the settings define. Without any, everyone is the caller
/// [`ANONYMOUS`], and may do everything.
#[derive(Debug)]
pub struct Callers {
    all: Vec<Arc<Caller>>,
    keys: Keys,
    by_certificate: HashMap<String, Arc<Caller>>,
    by_name: HashMap<Arc<str>, Arc<Caller>>,
    /// By the names of callers and then of apps.
    shares: HashMap<Arc<str>, HashMap<Arc<str>, Share>>,
    anonymous: Option<Arc<Caller>>,
}

impl Caller {
    /// The caller that everyone is while the settings define none. It reads tokens, since
    /// it may make them as well.
    fn anonymous() -> Self {
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
    fn shares(&self, apps: &Apps) -> HashMap<Arc<str>, Share> {
        let apps = apps.iter().filter(|app| self.may_use(&app.name));
        apps.filter_map(|app| {
            let share = Share::new(self.max_in_flight, app)?;
            Some((Arc::clone(&app.name), share))
        })
        .collect()
    }
}

impl Callers {
    /// These callers of these apps. The settings see to it that no two have the same key
    /// or certificate.
    #[must_use]
    pub fn new(callers: Vec<Caller>, apps: &Apps) -> Self {
        let all: Vec<_> = callers.into_iter().map(Arc::new).collect();
        let mut by_certificate = HashMap::new();
        let mut by_name = HashMap::new();
        let mut shares = HashMap::new();
        for caller in &all {
            let names = caller.certificates.iter().cloned();
            by_certificate.extend(names.map(|name| (name, Arc::clone(caller))));
            by_name.insert(Arc::clone(&caller.name), Arc::clone(caller));
            shares.insert(Arc::clone(&caller.name), caller.shares(apps));
        }
        let anonymous = all.is_empty().then(|| Arc::new(Caller::anonymous()));
        by_name.extend(
            anonymous
                .iter()
                .map(|it| (Arc::clone(&it.name), Arc::clone(it))),
        );
        Self {
            keys: Keys::new(&all),
            all,
            by_certificate,
            by_name,
            shares,
            anonymous,
        }
    }

    /// These callers in the place of others. What stays the same of a caller keeps its
    /// state: its rate, its operations in flight, and when its keys were used.
    #[must_use]
    pub fn replacing(others: &Self, mut callers: Vec<Caller>, apps: &Apps) -> Self {
        for caller in &mut callers {
            let old = others.by_name.get(&caller.name);
            if let (Some(rate), Some(old)) = (&mut caller.rate, old.and_then(|it| it.rate.as_ref()))
                && rate.is_like(old)
            {
                *rate = Arc::clone(old);
            }
        }
        let mut new = Self::new(callers, apps);
        for (caller, shares) in &mut new.shares {
            let old = others.shares.get(caller);
            for (app, share) in shares {
                if let Some(old) = old.and_then(|shares| shares.get(app)) {
                    share.go_on_from(old);
                }
            }
        }
        new.keys.go_on_from(&others.keys);
        new
    }

    /// The callers, without the anonymous one.
    pub fn iter(&self) -> impl Iterator<Item = &Caller> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// Whether the settings define no caller.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The caller that everyone is, if the settings define none.
    pub(super) fn anonymous(&self) -> Option<&Arc<Caller>> {
        self.anonymous.as_ref()
    }

    /// The caller with this name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Caller>> {
        self.by_name.get(name)
    }

    /// The share of a caller for an app. `None` if it has no limit but the app's.
    pub(super) fn share(&self, caller: &str, app: &str) -> Option<&Share> {
        self.shares.get(caller)?.get(app)
    }

    /// The keys of all callers.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The caller whose certificate has these names. `None` if no caller has them, or
    /// more than one.
    pub(super) fn with_certificate(&self, names: &[String]) -> Option<&Arc<Caller>> {
        let mut callers = names
            .iter()
            .filter_map(|name| self.by_certificate.get(name));
        let caller = callers.next()?;
        callers
            .all(|other| Arc::ptr_eq(other, caller))
            .then_some(caller)
    }
}

#[cfg(test)]
mod tests;
