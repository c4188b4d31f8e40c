//! Why a call may not be made.

use std::{sync::Arc, time::Duration};

/// Why a call may not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The call has neither a key nor a client certificate.
    NoCredentials,
    /// The key of the call belongs to no caller.
    WrongKey,
    /// The key of the call is one of the caller's, but no longer valid. The caller learns
    /// no more than with [`Self::WrongKey`].
    ExpiredKey {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// The client certificate belongs to no caller.
    UnknownCertificate,
    /// The caller may not call the RPC.
    Rpc {
        /// The caller's name.
        caller: Arc<str>,
        /// The full name of the RPC.
        rpc: &'static str,
    },
    /// The caller may not use the app that the call names, or there is no such app: which
    /// of the two is not for the caller to know.
    App {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// The caller may not send messages from this address.
    FromAddress {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// The caller may not make or delete user tokens for this `app_id`.
    AppId {
        /// The caller's name.
        caller: Arc<str>,
    },
    /// The rate of the caller or of the app is used up.
    Rate {
        /// Whose rate it is: `caller` or `app`.
        limit: &'static str,
        /// After which time the call may be tried again.
        retry_after: Duration,
    },
    /// The call takes more of a rate than it ever has at once.
    Burst {
        /// Whose rate it is: `caller` or `app`.
        limit: &'static str,
        /// How many units the call takes.
        units: u32,
        /// How many units the rate has at the most.
        burst: u32,
    },
    /// The caller has as many operations in flight for the app as it may have.
    InFlight {
        /// The caller's name.
        caller: Arc<str>,
        /// How many it may have.
        limit: usize,
    },
}
