//! What a caller shows to say who it is, as the log names it.

use std::fmt;

use super::peer::Serial;

/// What a caller showed, whether it was right or wrong. The log names it so that an
/// operator finds it again, and nobody can use it.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API key: the first bytes of its SHA-256.
    Key([u8; 4]),
    /// A client certificate.
    Certificate(Serial),
}

impl fmt::Display for Credential {
    /// `key:` and the first eight hexadecimal digits of the key's hash, or `cert:` and the
    /// serial number of the certificate in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(hash) => write!(f, "key:{:08x}", u32::from_be_bytes(*hash)),
            Self::Certificate(serial) => write!(f, "cert:{serial}"),
        }
    }
}
