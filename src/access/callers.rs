//! The callers that the settings define.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{caller::Caller, keys::Keys, share::Share};
use crate::call::Apps;

/// The callers that the settings define. Without any, everyone is the caller
/// [`ANONYMOUS`](super::caller::ANONYMOUS), and may do everything.
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
