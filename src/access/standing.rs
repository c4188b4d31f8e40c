//! Whether a call that was let in may still be made. A stream may last for longer than the
//! rights of its caller.

use std::{pin::Pin, sync::Arc};

use http::HeaderMap;
use tokio::sync::watch;

use super::{Access, Callers, allowed, key::KeyHash, key_of};
use crate::call::{App, Denial, Peer, Policy, policy::Audience};

/// What a call showed when it was let in.
pub struct Standing {
    access: Access,
    changes: watch::Receiver<()>,
    policy: &'static Policy,
    /// The key that the caller showed. `None` if it showed none.
    key: Option<KeyHash>,
    peer: Peer,
    /// The app of the call. `None` for a call outside of the contract.
    app: Option<Arc<App>>,
}

impl Access {
    /// The standing of a call that may last. `None` if it cannot last, or whoever calls may
    /// make it.
    #[must_use]
    pub fn standing(
        &self,
        policy: &'static Policy,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Option<Standing> {
        if !policy.is_streaming || self.is_for_everyone(policy) {
            return None;
        }
        let is_of_contract = policy.audience == Audience::Callers;
        let app = is_of_contract.then(|| self.apps.of(headers)).flatten();
        Some(Standing {
            access: self.clone(),
            changes: self.changes.subscribe(),
            policy,
            key: key_of(headers).map(KeyHash::of),
            peer: peer.clone(),
            app,
        })
    }
}

impl Standing {
    /// Completes when the call may no longer be made, for a reason that is counted.
    #[must_use]
    pub fn revoked(mut self) -> Pin<Box<dyn Future<Output = Denial> + Send>> {
        Box::pin(async move {
            loop {
                if let Err(denial) = self.check() {
                    self.access.count(&denial, None);
                    return denial;
                }
                let changed = self.changes.changed().await;
                changed.expect("the sender is in `access`");
            }
        })
    }

    fn check(&self) -> Result<(), Denial> {
        let callers = self.access.callers.load();
        let caller = self.caller(&callers)?;
        if self.policy.audience == Audience::Callers {
            allowed(caller, self.policy, self.app.as_ref())?;
        }
        Ok(())
    }

    fn caller<'a>(&self, callers: &'a Callers) -> Result<&'a Arc<super::Caller>, Denial> {
        if let Some(anonymous) = callers.anonymous() {
            return Ok(anonymous);
        }
        if let Some(key) = &self.key {
            return callers.keys().caller_of(key);
        }
        let certificate = self.peer.certificate().ok_or(Denial::NoCredentials)?;
        let caller = callers.with_certificate(&certificate.names);
        caller.ok_or(Denial::UnknownCertificate)
    }
}
