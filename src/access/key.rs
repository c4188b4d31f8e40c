//! API keys, of which only the hashes are kept.

use std::{fmt, time::SystemTime};

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// The prefix of every key, by which people and secret scanners recognise one.
const PREFIX: &str = "mgk_";

/// The random bytes of a key.
const KEY_BYTES: usize = 32;

/// How much of a hash names its key in logs and metrics, in bytes.
const ID_BYTES: usize = 4;

/// The prefix of a hash in the settings.
const HASH_PREFIX: &str = "sha256:";

/// The SHA-256 of a key.
///
/// A key has 256 random bits, so its hash needs neither salt nor stretching: there is
/// nothing to guess. The time of a comparison tells nothing about a key either: who
/// presents one cannot choose its hash bit by bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// A key in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its hash.
    pub hash: KeyHash,
    /// The end of the key's validity. `None` is for ever.
    pub not_after: Option<SystemTime>,
}

/// A new key: 256 bits from the system's random source.
///
/// # Errors
///
/// If the system's random source fails.
pub fn generate() -> Result<SecretString, &'static str> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| "the random source of the system fails")?;
    let digits = Zeroizing::new(hex::encode(*bytes));
    let mut key = String::with_capacity(PREFIX.len() + digits.len());
    key.push_str(PREFIX);
    key.push_str(&digits);
    Ok(key.into())
}

impl KeyHash {
    /// The hash of the bytes of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let digest = digest(&SHA256, key);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The hash of a key that is kept as a secret.
    #[must_use]
    pub fn of_key(key: &SecretString) -> Self {
        Self::of(key.expose_secret().as_bytes())
    }

    /// The first bytes of the hash, by which the log names a key.
    #[must_use]
    pub fn prefix(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }

    /// Reads a hash in the form of the settings: `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.strip_prefix(HASH_PREFIX)?, &mut hash).ok()?;
        Some(Self(hash))
    }

    /// The first eight hexadecimal digits, by which logs and metrics name the key.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.0[..ID_BYTES])
    }
}

impl Key {
    /// Whether the key is no longer valid at a time.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.not_after.is_some_and(|end| end < now)
    }
}

impl From<KeyHash> for Key {
    fn from(hash: KeyHash) -> Self {
        Self {
            hash,
            not_after: None,
        }
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_random_and_its_hash_is_what_the_settings_have() {
        let (key, other) = (generate().unwrap(), generate().unwrap());
        let text = key.expose_secret();
        assert_eq!(text.len(), PREFIX.len() + 2 * KEY_BYTES);
        let hash = KeyHash::of(text.as_bytes());
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        assert_ne!(hash, KeyHash::of_key(&other));
        // FIPS 180-4: the SHA-256 of "abc".
        assert_eq!(
            KeyHash::of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn only_a_whole_hash_is_one() {
        let hash = KeyHash::of(b"abc").to_string();
        for wrong in [
            "",
            "sha256:",
            &hash[1..],
            &hash[..hash.len() - 1],
            &format!("{hash}0"),
            &hash.replace('b', "g"),
            generate().unwrap().expose_secret(),
        ] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
    }
}
