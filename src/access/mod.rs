//! Who may call what.
//!
//! A caller shows a key, or a client certificate under mutual TLS. It may call some
//! RPCs, use some apps, and call so often. Without any callers everyone may do
//! everything, which the settings allow on a loopback address only, unless an operator
//! sets otherwise.
//!
//! - [`caller`]: the callers, and what each may do
//! - [`key`]: API keys, of which only the hashes are kept
//! - `metrics`: the metrics of callers
//! - [`pattern`]: patterns of addresses

pub mod caller;
pub mod key;
mod metrics;
pub mod pattern;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};

use crate::call::{
    App, Apps, Context, Denial, Peer, Policy, Rate, context::Gate, policy::Audience,
};
pub use caller::{Caller, Callers};
pub use metrics::CallerMetrics;

/// The scheme of a key in `authorization`, RFC 6750.
const SCHEME: &str = "bearer";

/// Decides on every call. Clones share the callers.
#[derive(Clone)]
pub struct Access {
    callers: Arc<ArcSwap<Callers>>,
    apps: Arc<Apps>,
    open_reflection: bool,
    metrics: CallerMetrics,
}

/// The caller and the app of a call of the contract that may be made.
#[derive(Clone)]
pub struct Admitted {
    /// The caller's name.
    pub caller: Arc<str>,
    /// The app that the call is for.
    pub app: Arc<App>,
}

impl Access {
    /// Lets these callers use these apps. `open_reflection` lets everyone use server
    /// reflection.
    #[must_use]
    pub fn new(
        callers: Vec<Caller>,
        apps: Arc<Apps>,
        open_reflection: bool,
        metrics: &CallerMetrics,
    ) -> Self {
        let callers = Callers::new(callers);
        metrics.expect(&callers, &apps);
        Self {
            callers: Arc::new(ArcSwap::from_pointee(callers)),
            apps,
            open_reflection,
            metrics: metrics.clone(),
        }
    }

    /// The callers at this moment.
    #[must_use]
    pub fn callers(&self) -> Arc<Callers> {
        self.callers.load_full()
    }

    /// Replaces the callers, from the next call on.
    pub fn replace(&self, callers: Vec<Caller>) {
        let callers = Callers::replacing(&self.callers.load(), callers);
        self.metrics.expect(&callers, &self.apps);
        self.callers.store(Arc::new(callers));
    }

    /// Decides on a call by its policy, its metadata, and the peer. `policy` is `None` for
    /// an RPC that does not exist. `Ok(None)` is a call outside of the contract that may
    /// be made.
    ///
    /// # Errors
    ///
    /// If the call may not be made.
    pub fn admit(
        &self,
        policy: Option<&'static Policy>,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Option<Admitted>, Denial> {
        let audience = policy.map(|policy| policy.audience);
        if audience == Some(Audience::Everyone)
            || audience == Some(Audience::Tools) && self.open_reflection
        {
            return Ok(None);
        }
        let callers = self.callers.load();
        let caller = identify(&callers, headers, peer)?;
        let contract = policy.filter(|policy| policy.audience == Audience::Callers);
        let Some(policy) = contract else {
            take(caller.rate.as_deref(), "caller")?;
            return Ok(None);
        };
        let app = self.apps.of(headers);
        let app = allowed(caller, policy, app)?;
        take(caller.rate.as_deref(), "caller")?;
        take(app.rate.as_ref(), "app")?;
        self.metrics.admitted(&caller.name, &app.name);
        Ok(Some(Admitted {
            caller: Arc::clone(&caller.name),
            app: Arc::clone(app),
        }))
    }

    /// Counts a call that was denied.
    pub fn count(&self, denial: &Denial) {
        self.metrics.denied(denial);
    }
}

impl Gate for Access {
    fn admit_item(&self, context: &Context) -> Result<(), Denial> {
        let callers = self.callers.load();
        let caller = callers.named(&context.caller).ok_or(Denial::WrongKey)?;
        let app = allowed(caller, context.policy, Some(&context.app))?;
        take(caller.rate.as_deref(), "caller")?;
        take(app.rate.as_ref(), "app")
    }

    fn may_send_from(&self, caller: &Arc<str>, address: &str) -> Result<(), Denial> {
        let callers = self.callers.load();
        let is_allowed = callers
            .named(caller)
            .is_some_and(|caller| caller.may_send_from(address));
        is_allowed.then_some(()).ok_or_else(|| Denial::FromAddress {
            caller: Arc::clone(caller),
        })
    }

    fn may_grant(&self, caller: &Arc<str>, app_id: Option<&str>) -> Result<(), Denial> {
        let callers = self.callers.load();
        let is_allowed = callers
            .named(caller)
            .is_some_and(|caller| caller.may_grant(app_id));
        is_allowed.then_some(()).ok_or_else(|| Denial::AppId {
            caller: Arc::clone(caller),
        })
    }
}

/// The app of a call that its caller may make. `app` is `None` if the call names an
/// unknown one.
fn allowed<'a>(
    caller: &Caller,
    policy: &'static Policy,
    app: Option<&'a Arc<App>>,
) -> Result<&'a Arc<App>, Denial> {
    let name = || Arc::clone(&caller.name);
    if !caller.may_call(policy.name()) {
        return Err(Denial::Rpc {
            caller: name(),
            rpc: policy.name(),
        });
    }
    app.filter(|app| caller.may_use(&app.name))
        .ok_or_else(|| Denial::App { caller: name() })
}

fn take(rate: Option<&Rate>, limit: &'static str) -> Result<(), Denial> {
    rate.map_or(Ok(()), Rate::take)
        .map_err(|retry_after| Denial::Rate { limit, retry_after })
}

/// The caller. A key goes before a certificate: it is shown for the one call, and its
/// owner must learn that it is wrong.
fn identify<'a>(
    callers: &'a Callers,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<&'a Arc<Caller>, Denial> {
    if let Some(anonymous) = callers.anonymous() {
        return Ok(anonymous);
    }
    if headers.contains_key(AUTHORIZATION) {
        return key_of(headers)
            .and_then(|key| callers.with_key(key))
            .ok_or(Denial::WrongKey);
    }
    let names = peer.certificate().ok_or(Denial::NoCredentials)?;
    callers
        .with_certificate(names)
        .ok_or(Denial::UnknownCertificate)
}

/// The key in the metadata, if it is the only one and has the right scheme.
fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, key) = value.as_bytes().split_at_checked(SCHEME.len())?;
    let key = key.strip_prefix(b" ")?;
    scheme
        .eq_ignore_ascii_case(SCHEME.as_bytes())
        .then_some(key)
}
