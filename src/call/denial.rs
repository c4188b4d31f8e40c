//! Why a call may not be made.

use std::{sync::Arc, time::Duration};

/// Why a call may not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The call has neither a key nor a client certificate.
    NoCredentials,
    /// The key of the call belongs to no caller.
    WrongKey,
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
        /// After which time a call may be tried again.
        retry_after: Duration,
    },
}
