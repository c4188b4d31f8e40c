//! The callers, and what each may do.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{key::KeyHash, pattern::Pattern};
use crate::call::Rate;

/// The name of every caller while the settings define none.
pub const ANONYMOUS: &str = "anonymous";

/// A caller, and what it may do. `None` is no limit.
#[derive(Debug)]
pub struct Caller {
    /// The name, for people and logs.
    pub name: Arc<str>,
    /// The hashes of the keys: several, so that one can replace another.
    pub keys: Vec<KeyHash>,
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
    /// How many calls a second the caller may make, all apps together.
    pub rate: Option<Arc<Rate>>,
}

/// The callers that the settings define. Without any, everyone is the caller
/// [`ANONYMOUS`], and may do everything.
#[derive(Debug)]
pub struct Callers {
    all: Vec<Arc<Caller>>,
    by_key: HashMap<KeyHash, Arc<Caller>>,
    by_certificate: HashMap<String, Arc<Caller>>,
    by_name: HashMap<Arc<str>, Arc<Caller>>,
    anonymous: Option<Arc<Caller>>,
}

impl Caller {
    /// The caller that everyone is while the settings define none.
    fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.into(),
            keys: Vec::new(),
            certificates: Vec::new(),
            may_call: None,
            apps: None,
            from_addresses: None,
            app_ids: None,
            rate: None,
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
}

impl Callers {
    /// These callers. The settings see to it that no two have the same key or certificate.
    #[must_use]
    pub fn new(callers: Vec<Caller>) -> Self {
        let all: Vec<_> = callers.into_iter().map(Arc::new).collect();
        let mut by_key = HashMap::new();
        let mut by_certificate = HashMap::new();
        let mut by_name = HashMap::new();
        for caller in &all {
            let keys = caller.keys.iter().copied();
            by_key.extend(keys.map(|key| (key, Arc::clone(caller))));
            let names = caller.certificates.iter().cloned();
            by_certificate.extend(names.map(|name| (name, Arc::clone(caller))));
            by_name.insert(Arc::clone(&caller.name), Arc::clone(caller));
        }
        let anonymous = all.is_empty().then(|| Arc::new(Caller::anonymous()));
        by_name.extend(
            anonymous
                .iter()
                .map(|it| (Arc::clone(&it.name), Arc::clone(it))),
        );
        Self {
            all,
            by_key,
            by_certificate,
            by_name,
            anonymous,
        }
    }

    /// These callers in the place of others. A rate that stays the same keeps its state.
    #[must_use]
    pub fn replacing(others: &Self, mut callers: Vec<Caller>) -> Self {
        let rates: HashMap<_, _> = others
            .iter()
            .filter_map(|caller| Some((&caller.name, caller.rate.as_ref()?)))
            .collect();
        for caller in &mut callers {
            let old = rates.get(&caller.name).copied();
            if let (Some(rate), Some(old)) = (&mut caller.rate, old)
                && rate.is_like(old)
            {
                *rate = Arc::clone(old);
            }
        }
        Self::new(callers)
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

    /// The caller with this key.
    pub(super) fn with_key(&self, key: &[u8]) -> Option<&Arc<Caller>> {
        self.by_key.get(&KeyHash::of(key))
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
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller {
            name: name.into(),
            ..Caller::anonymous()
        }
    }

    fn slow() -> Option<Arc<Rate>> {
        Rate::new(0.001, NonZeroU32::MIN).map(Arc::new)
    }

    #[test]
    fn a_caller_has_several_keys_and_certificates() {
        let mut orders = caller("orders");
        orders.keys = vec![KeyHash::of(b"old"), KeyHash::of(b"new")];
        orders.certificates = vec!["orders.example".into(), "spiffe://example/orders".into()];
        let mut billing = caller("billing");
        billing.certificates = vec!["billing.example".into()];
        let callers = Callers::new(vec![orders, billing]);

        let name = |caller: Option<&Arc<Caller>>| caller.map(|caller| caller.name.to_string());
        let orders = Some("orders".to_owned());
        assert_eq!(name(callers.with_key(b"old")), orders);
        assert_eq!(name(callers.with_key(b"new")), orders);
        assert_eq!(name(callers.with_key(b"other")), None);
        assert_eq!(name(callers.with_key(b"")), None);

        let by_names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            name(callers.with_certificate(&names))
        };
        assert_eq!(by_names(&["other", "orders.example"]), orders);
        assert_eq!(
            by_names(&["orders.example", "spiffe://example/orders"]),
            orders
        );
        assert_eq!(by_names(&["orders.example", "billing.example"]), None);
        assert_eq!(by_names(&["Orders.example"]), None);
        assert_eq!(by_names(&[]), None);
    }

    #[test]
    fn what_is_not_limited_is_allowed_and_what_is_limited_needs_a_match() {
        let mut orders = caller("orders");
        assert!(orders.may_call("any") && orders.may_use("any"));
        assert!(orders.may_send_from("any") && orders.may_grant(None));
        orders.may_call = Some(HashSet::from(["mesibo.v1.UserService/ListUsers"]));
        orders.apps = Some(HashSet::from(["shop".into()]));
        orders.from_addresses = Some(vec![Pattern::new("shop"), Pattern::new("shop-*")]);
        orders.app_ids = Some(HashSet::from(["demo".to_owned()]));
        assert!(orders.may_call("mesibo.v1.UserService/ListUsers"));
        assert!(!orders.may_call("mesibo.v1.UserService/EditUser"));
        assert!(orders.may_use("shop") && !orders.may_use("default"));
        assert!(orders.may_send_from("shop-1") && !orders.may_send_from("alice"));
        assert!(orders.may_grant(Some("demo")));
        assert!(!orders.may_grant(Some("other")) && !orders.may_grant(None));
    }

    #[test]
    fn a_rate_that_stays_the_same_keeps_its_state() {
        let mut orders = caller("orders");
        orders.rate = slow();
        let first = Callers::new(vec![orders]);
        let rate = |callers: &Callers| Arc::clone(callers.all[0].rate.as_ref().unwrap());
        rate(&first).take().unwrap();
        let wait = rate(&first).take().unwrap_err();
        assert!((900..=1000).contains(&wait.as_secs()), "{wait:?}");

        let mut orders = caller("orders");
        orders.rate = slow();
        let second = Callers::replacing(&first, vec![orders]);
        rate(&second).take().unwrap_err();

        let mut orders = caller("orders");
        orders.rate = Rate::new(0.001, NonZeroU32::new(2).unwrap()).map(Arc::new);
        let third = Callers::replacing(&second, vec![orders]);
        rate(&third).take().unwrap();
    }
}
