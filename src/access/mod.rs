//! Who may call what.
//!
//! A caller shows a key, or a client certificate under mutual TLS. It may call some
//! RPCs, use some apps, and call so often. Without any callers everyone may do
//! everything, which the settings allow on a loopback address only, unless an operator
//! sets otherwise.
//!
//! What a call must pass, in this order, so that nothing is spent on a call that is not
//! made in the end: who calls, the right to call the RPC, the app, and one unit of the
//! caller's rate, before its message is read; then the rights that the message asks for,
//! and the rest of the rate; and, once the message breaks no rule, the caller's share of
//! the operations in flight, and the app's rate.
//!
//! - [`caller`]: a caller, and what it may do
//! - `callers`: the callers that the settings define
//! - [`key`]: API keys, of which only the hashes are kept
//! - `keys`: the keys of all callers
//! - `key_times`: when keys end and were last used
//! - `metrics`: the metrics of callers
//! - [`pattern`]: patterns of addresses
//! - `share`: a caller's share of the operations in flight
//! - `standing`: whether a call that was let in may still be made

pub mod caller;
mod callers;
pub mod key;
mod key_times;
mod keys;
mod metrics;
pub mod pattern;
mod share;
mod standing;

use std::{future::ready, num::NonZeroU32, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use http::{HeaderMap, header::AUTHORIZATION};
use tokio::{sync::watch, time::sleep};

use crate::call::{
    App, Apps, Asked, Claim, Context, Credential, Denial, Policy, Record, Slot,
    context::{Gate, Pause},
    policy::Audience,
    rate::Exceeded,
};
pub use caller::Caller;
pub use callers::Callers;
use key::KeyHash;
pub use key_times::KeyTimes;
pub use metrics::CallerMetrics;
use share::Share;
pub use standing::Standing;

/// The scheme of a key in `authorization`, RFC 6750.
const SCHEME: &str = "bearer";

/// Decides on every call. Clones share the callers.
#[derive(Clone)]
pub struct Access {
    callers: Arc<ArcSwap<Callers>>,
    /// Tells that the callers were replaced.
    changes: watch::Sender<()>,
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
        let callers = Callers::new(callers, &apps);
        metrics.expect(&callers, &apps);
        Self {
            callers: Arc::new(ArcSwap::from_pointee(callers)),
            changes: watch::Sender::new(()),
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

    /// Replaces the callers, from the next call on. Streams of those who are gone end.
    pub fn replace(&self, callers: Vec<Caller>) {
        let callers = Callers::replacing(&self.callers.load(), callers, &self.apps);
        self.metrics.expect(&callers, &self.apps);
        self.callers.store(Arc::new(callers));
        self.changes.send_replace(());
    }

    /// The times of the callers' keys, for the metrics.
    #[must_use]
    pub fn key_times(&self) -> KeyTimes {
        KeyTimes(Arc::clone(&self.callers))
    }

    /// Warns in the log of keys that end within a week, or have ended. Never completes.
    pub async fn warn_of_key_ends(&self) {
        key_times::warn_of_ends(&self.callers).await;
    }

    /// Decides on a call by its policy, its metadata, and the peer, before its message is
    /// read: it takes the first unit of the caller's rate, so that nobody has messages read
    /// for nothing. `policy` is `None` for an RPC that does not exist. `Ok(None)` is a call
    /// outside of the contract that may be made.
    /// `record` learns who calls and for which app, whatever is decided.
    ///
    /// # Errors
    ///
    /// If the call may not be made.
    pub fn admit(
        &self,
        policy: Option<&'static Policy>,
        headers: &HeaderMap,
        record: &Record,
    ) -> Result<Option<Admitted>, Denial> {
        if policy.is_some_and(|policy| self.is_for_everyone(policy)) {
            return Ok(None);
        }
        let contract = policy.filter(|policy| policy.audience == Audience::Callers);
        let known = contract.and_then(|_| self.apps.known(headers));
        if let Some(app) = &known {
            record.is_for(&app.name);
        }
        let callers = self.callers.load();
        let caller = identify(&callers, headers, record)?;
        record.identified(&caller.name);
        let Some(policy) = contract else {
            take_first(caller)?;
            return Ok(None);
        };
        let app = known.or_else(|| self.apps.of(headers));
        let app = Arc::clone(allowed(caller, policy, app.as_ref())?);
        record.is_for(&app.name);
        take_first(caller)?;
        self.metrics.admitted(&caller.name, &app.label);
        Ok(Some(Admitted {
            caller: Arc::clone(&caller.name),
            app,
        }))
    }

    /// Whether whoever calls may call an RPC.
    fn is_for_everyone(&self, policy: &Policy) -> bool {
        match policy.audience {
            Audience::Everyone => true,
            Audience::Tools => self.open_reflection,
            Audience::Callers => false,
        }
    }

    /// Counts a call that was denied, of a caller if it is known.
    pub fn count(&self, denial: &Denial, caller: Option<&Arc<str>>) {
        self.metrics.denied(denial, caller);
    }
}

impl Gate for Access {
    fn admit(&self, context: &Context, asked: &Asked<'_>) -> Result<(), Denial> {
        let callers = self.callers.load();
        let caller = callers.named(&context.caller).ok_or(Denial::WrongKey)?;
        allowed(caller, context.policy, Some(&context.app))?;
        claim(caller, asked.right)?;
        let rate = caller.rate.as_deref();
        let taken = rate.map_or(Ok(()), |rate| {
            if context.policy.is_streaming {
                rate.take(asked.units)
            } else {
                rate.take_rest(asked.units)
            }
        });
        taken.map_err(|exceeded| rate_denial(exceeded, "caller", asked.units))
    }

    fn begin(&self, context: &Context, units: NonZeroU32) -> Result<Option<Slot>, Denial> {
        let callers = self.callers.load();
        let Context { caller, app, .. } = context;
        let slot = match (&context.slot, callers.share(caller, &app.name)) {
            (Some(slot), _) => Some(slot.clone()),
            (None, Some(share)) => Some(share.take().ok_or_else(|| Denial::InFlight {
                caller: Arc::clone(caller),
                limit: share.limit(),
            })?),
            (None, None) => None,
        };
        let taken = app.rate.as_ref().map_or(Ok(()), |rate| rate.take(units));
        taken.map_err(|exceeded| rate_denial(exceeded, "app", units))?;
        Ok(slot)
    }

    fn pause(&self, context: &Context, denial: &Denial) -> Option<Pause> {
        match denial {
            Denial::Rate { retry_after, .. } => {
                let passed = sleep(*retry_after);
                Some(Box::pin(passed.map(|()| None)))
            }
            Denial::InFlight { .. } => {
                let callers = self.callers.load();
                let share = callers.share(&context.caller, &context.app.name);
                // Without a share by now, the item may go on at once.
                Some(share.map_or_else(|| Box::pin(ready(None)) as Pause, Share::free))
            }
            _ => None,
        }
    }

    fn may_read_token(&self, context: &Context, app_id: Option<&str>) -> bool {
        let callers = self.callers.load();
        let caller = callers.named(&context.caller);
        caller.is_some_and(|caller| caller.may_read_token(app_id))
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

/// Whether a caller has a right that a request asks for.
fn claim(caller: &Caller, right: Option<Claim<'_>>) -> Result<(), Denial> {
    let name = || Arc::clone(&caller.name);
    match right {
        Some(Claim::Send { from }) if !caller.may_send_from(from) => {
            Err(Denial::FromAddress { caller: name() })
        }
        Some(Claim::Grant { app_id }) if !caller.may_grant(app_id) => {
            Err(Denial::AppId { caller: name() })
        }
        _ => Ok(()),
    }
}

/// Takes the unit of a caller's rate that every call takes.
fn take_first(caller: &Caller) -> Result<(), Denial> {
    let one = NonZeroU32::MIN;
    let taken = caller.rate.as_ref().map_or(Ok(()), |rate| rate.take(one));
    taken.map_err(|exceeded| rate_denial(exceeded, "caller", one))
}

fn rate_denial(exceeded: Exceeded, limit: &'static str, units: NonZeroU32) -> Denial {
    match exceeded {
        Exceeded::For(retry_after) => Denial::Rate { limit, retry_after },
        Exceeded::Forever { burst } => Denial::Burst {
            limit,
            units: units.get(),
            burst,
        },
    }
}

/// The caller. A key goes before a certificate: it is shown for the one call, and its
/// owner must learn that it is wrong.
fn identify<'a>(
    callers: &'a Callers,
    headers: &HeaderMap,
    record: &Record,
) -> Result<&'a Arc<Caller>, Denial> {
    if let Some(anonymous) = callers.anonymous() {
        return Ok(anonymous);
    }
    if headers.contains_key(AUTHORIZATION) {
        let hash = KeyHash::of(key_of(headers).ok_or(Denial::WrongKey)?);
        record.showed(Credential::Key(hash.prefix()));
        return callers.keys().caller_of(&hash);
    }
    let certificate = record.peer().certificate().ok_or(Denial::NoCredentials)?;
    record.showed(Credential::Certificate(certificate.serial.clone()));
    callers
        .with_certificate(&certificate.names)
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::{collection::vec, prop_assert_eq, prop_oneof, strategy::Strategy as _};

    use super::*;
    use crate::fuzz;

    #[test]
    fn a_key_is_what_comes_after_the_scheme_of_the_only_value() {
        let nearly = "([Bb][Ee]arer ?){0,2}[ -~]{0,9}".prop_map(String::into_bytes);
        let value = prop_oneof![nearly, vec(proptest::num::u8::ANY, 0..12)];
        fuzz::holds(&vec(value, 0..3), |values| {
            let headers = values.iter().map(|value| HeaderValue::from_bytes(value));
            let Ok(headers) = headers.collect::<Result<Vec<_>, _>>() else {
                return Ok(());
            };
            let headers = headers.into_iter().map(|value| (AUTHORIZATION, value));
            let headers: HeaderMap = headers.collect();
            let expected = match &values[..] {
                [value] if value.to_ascii_lowercase().starts_with(b"bearer ") => Some(&value[7..]),
                _ => None,
            };
            prop_assert_eq!(key_of(&headers), expected);
            Ok(())
        });
    }
}
