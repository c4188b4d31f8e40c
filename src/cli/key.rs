//! `key`: makes a key for a caller.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::Failure;
use crate::access::key::{self, KeyHash};

/// Makes a key, and prints it this once, with the settings entry that has its hash.
pub(super) fn run(name: &str) -> Result<(), Failure> {
    let key = key::generate().map_err(Failure::new)?;
    let text = Zeroizing::new(format!(
        "# The key of {name}, which is shown this once. It goes into the metadata of calls,\n\
         # as authorization: Bearer KEY\n\
         {}\n\n\
         # Its hash goes into the settings file, among the other keys of {name} if it has some:\n\
         [callers.{name}]\n\
         keys = [\"{}\"]\n\
         may-call = [\"mesibo.v1.MessageService/*\"]\n",
        key.expose_secret(),
        KeyHash::of_key(&key)
    ));
    super::print(&text);
    Ok(())
}
