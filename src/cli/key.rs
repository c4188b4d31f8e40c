//! `key`: makes a key for a caller.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::Failure;
use crate::access::key::{self, KeyHash};

/// Makes a key and prints it this once. The key is alone on standard output, for
/// `KEY=$(mesibo-grpc key orders)`; standard error has the settings entry with its hash.
pub(super) fn run(name: &str) -> Result<(), Failure> {
    let key = key::generate().map_err(Failure::new)?;
    super::print(&Zeroizing::new(format!("{}\n", key.expose_secret())));
    super::tell(&format!(
        "# This is the key of {name}, shown once. Calls have it in their metadata, as\n\
         # authorization: Bearer KEY\n\
         # The settings file has its hash, next to the other keys of {name}, if there are any:\n\
         [callers.{name}]\n\
         keys = [\"{}\"]\n\
         may-call = [\"mesibo.v1.MessageService/*\"]\n",
        KeyHash::of_key(&key)
    ));
    Ok(())
}
