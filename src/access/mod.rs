//! Who may call what: the callers, and what each is for.
//!
//! A caller shows a key, or a client certificate under mutual TLS. It may call some
//! RPCs, use some apps, and call so often. Without any callers everyone may do
//! everything, which the settings allow on a loopback address only, unless they are
//! told otherwise.
//!
//! - [`caller`]: who calls, and what each may do
//! - [`key`]: API keys, of which only the hashes are kept
//! - [`metrics`]: what is counted of callers
//! - [`pattern`]: patterns of addresses
//! - [`rate`]: how many calls a second there may be
//! - [`rpc`]: the RPCs that there are

pub mod caller;
pub mod key;
pub mod metrics;
pub mod pattern;
pub mod rate;
pub mod rpc;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};
use tonic::server::NamedService as _;
use tonic_health::pb::health_server::HealthServer;

use crate::{
    apps::{App, Apps},
    status::Reason,
};
pub use caller::{Caller, Callers};
pub use metrics::Metrics;

/// The metadata that names the app that a call is for.
pub const APP_HEADER: &str = "mesibo-app";

/// The scheme of a key in `authorization`, RFC 6750.
const SCHEME: &str = "bearer";

/// What reflection's paths begin with, in both versions.
const REFLECTION: &str = "/grpc.reflection.";

/// Decides on every call. Clones share the callers.
#[derive(Clone)]
pub struct Access {
    callers: Arc<ArcSwap<Callers>>,
    apps: Arc<Apps>,
    open_reflection: bool,
    metrics: Metrics,
}

/// Who is at the other end of a connection: the names in its certificate, DNS and URI, if
/// it showed one.
#[derive(Clone, Debug, Default)]
pub struct Peer(pub Option<Arc<[String]>>);

/// A call of the contract that is allowed.
#[derive(Clone)]
pub struct Admitted {
    /// The full name of the RPC.
    pub rpc: &'static str,
    /// Who calls.
    pub caller: Arc<Caller>,
    /// The app that it is for.
    pub app: Arc<App>,
    /// Where it counts if a service denies it all the same.
    pub metrics: Metrics,
}

/// Why a call is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub enum Denial {
    /// It shows neither a key nor a client certificate.
    NoCredentials,
    /// What it shows as a key is none.
    WrongKey,
    /// Its client certificate is not one of a caller.
    UnknownCertificate,
    /// Its caller may not call the RPC.
    Rpc {
        /// The caller's name.
        caller: Arc<str>,
        /// The full name of the RPC.
        rpc: &'static str,
    },
    /// Its caller may not use the app that it names, or there is none of that name:
    /// which of the two is not for the caller to know.
    App {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// Its caller may not send messages from this address.
    FromAddress {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// Its caller may not make or delete user tokens for this `app_id`.
    AppId {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// There are too many calls, of the caller or for the app.
    Rate {
        /// Whose calls there are too many of: `caller` or `app`.
        limit: &'static str,
        /// When the next one may come.
        retry_after: Duration,
    },
}

impl Denial {
    /// The reason that its status gives.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoCredentials => Reason::NoCredentials,
            Self::WrongKey => Reason::InvalidKey,
            Self::UnknownCertificate => Reason::UnknownCertificate,
            Self::Rpc { .. } => Reason::RpcNotAllowed,
            Self::App { .. } => Reason::AppNotAllowed,
            Self::FromAddress { .. } => Reason::SenderNotAllowed,
            Self::AppId { .. } => Reason::AppIdNotAllowed,
            Self::Rate { .. } => Reason::RateLimited,
        }
    }
}

impl Access {
    /// Lets these callers use these apps, and counts among `metrics`.
    #[must_use]
    pub fn new(
        callers: Vec<Caller>,
        apps: Arc<Apps>,
        open_reflection: bool,
        metrics: &Metrics,
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

    /// Puts others in the place of the callers, from the next call on.
    pub fn replace(&self, callers: Vec<Caller>) {
        let callers = Callers::replacing(&self.callers.load(), callers);
        self.metrics.expect(&callers, &self.apps);
        self.callers.store(Arc::new(callers));
    }

    /// Decides on a call by its path, its metadata, and who is at the other end of the
    /// connection. `None` is a call that everyone may make: of health, of reflection if
    /// that is open, and of what does not exist, as known callers may learn.
    ///
    /// # Errors
    ///
    /// If the call is not allowed.
    pub fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Option<Admitted>, Denial> {
        let admitted = self.decide(path, headers, peer);
        match &admitted {
            Ok(Some(admitted)) => {
                let Admitted { caller, app, .. } = admitted;
                self.metrics.admitted(&caller.name, &app.name);
            }
            Ok(None) => {}
            Err(denial) => self.metrics.denied(denial),
        }
        admitted
    }

    fn decide(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Option<Admitted>, Denial> {
        let is_open = is_health(path) || self.open_reflection && path.starts_with(REFLECTION);
        if is_open {
            return Ok(None);
        }
        let callers = self.callers.load();
        let caller = identify(&callers, headers, peer)?;
        let Some(rpc) = rpc::of_path(path) else {
            return Ok(None);
        };
        let name = || Arc::clone(&caller.name);
        if !caller.may_call(rpc) {
            return Err(Denial::Rpc {
                caller: name(),
                rpc,
            });
        }
        let app = self
            .apps
            .of(headers)
            .filter(|app| caller.may_use(&app.name))
            .ok_or_else(|| Denial::App { caller: name() })?;
        for (limit, rate) in [
            ("caller", caller.rate.as_deref()),
            ("app", app.rate.as_ref()),
        ] {
            rate.map_or(Ok(()), rate::Rate::take)
                .map_err(|retry_after| Denial::Rate { limit, retry_after })?;
        }
        Ok(Some(Admitted {
            rpc,
            caller: Arc::clone(caller),
            app: Arc::clone(app),
            metrics: self.metrics.clone(),
        }))
    }
}

/// Who calls. A key goes before a certificate: it is shown for the one call, and a wrong
/// one is a mistake that its owner must learn of.
fn identify<'a>(
    callers: &'a Callers,
    headers: &HeaderMap,
    Peer(names): &Peer,
) -> Result<&'a Arc<Caller>, Denial> {
    if let Some(anonymous) = callers.anonymous() {
        return Ok(anonymous);
    }
    if headers.contains_key(AUTHORIZATION) {
        return key_of(headers)
            .and_then(|key| callers.with_key(key))
            .ok_or(Denial::WrongKey);
    }
    let names = names.as_deref().ok_or(Denial::NoCredentials)?;
    callers
        .with_certificate(names)
        .ok_or(Denial::UnknownCertificate)
}

/// The key in the metadata, if it is the only one and of the right scheme.
fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, key) = value.as_bytes().split_at_checked(SCHEME.len())?;
    let key = key.strip_prefix(b" ")?;
    scheme
        .eq_ignore_ascii_case(SCHEME.as_bytes())
        .then_some(key)
}

fn is_health(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    service.is_some_and(|(service, _)| service == HealthServer::<()>::NAME)
}
