//! Settings of a sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The name of the world that requests without a `world` parameter mean.
pub const DEFAULT_WORLD: &str = "default";

/// The application token of the default world.
pub const DEFAULT_TOKEN: &str = "sandbox";

/// Prefix of the names that are made from unknown tokens.
const HASHED: &str = "token-";

/// The most characters of a world's name.
const MAX_NAME: usize = 63;

/// Which application tokens the sandbox takes, and which world each one opens. Worlds
/// never see each other.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Tokens {
    /// Any token. `sandbox` opens the world `default`, and `sandbox-NAME` the world
    /// `NAME`, where NAME has at most 63 letters, digits, dots, hyphens and
    /// underscores and does not begin with `token-`. Any other token opens a world of
    /// its own, whose name is `token-` and the first 12 hexadecimal digits of the
    /// token's SHA-256: a real token that ends up here is never shown.
    #[default]
    Any,
    /// This token, which opens the world `default`, and those that it begins: `TOKEN-NAME`
    /// opens the world `NAME`, as `sandbox-NAME` does under [`Tokens::Any`]. Another one is
    /// answered with `AUTHFAIL`.
    Base(String),
    /// These tokens alone, each with the name of its world. Another one is answered
    /// with `AUTHFAIL`.
    Only(BTreeMap<String, String>),
}

/// The names that the `Host` of a request may have, besides IP addresses and
/// `localhost`. Other names are refused, because any web page can make its own name
/// resolve to a loopback address (DNS rebinding).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// These names, without ports. None by default.
    Named(Vec<String>),
    /// Any name.
    Any,
}

/// The origins of the web pages whose scripts may call `/api.php` and the sandbox's own
/// API (CORS), such as `http://localhost:5173`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// These origins. None by default.
    Named(Vec<String>),
    /// Any origin.
    Any,
}

/// Limits on memory and connections. Those of users, groups, messages and
/// requests hold for each world.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Users; another one is refused with `TOOMANYUSERS`. 100,000 by default.
    pub users: usize,
    /// Groups; another one is refused with `TOOMANYGROUPS`. 10,000 by default.
    pub groups: usize,
    /// Members of all groups together; more are refused with `TOOMANYMEMBERS`. 200,000
    /// by default.
    pub memberships: usize,
    /// Messages; beyond them the oldest are dropped. 50,000 by default.
    pub messages: usize,
    /// Bytes that messages take; beyond them the oldest are dropped. 16 MiB by default.
    pub message_bytes: usize,
    /// Requests in the log; beyond them the oldest are dropped. 1,000 by default.
    pub requests: usize,
    /// Bytes that the log of requests takes; beyond them the oldest are dropped. 4 MiB
    /// by default.
    pub request_bytes: usize,
    /// Worlds; a token that would open another one is refused with `TOOMANYWORLDS`. 100
    /// by default.
    pub worlds: usize,
    /// Connections; one above is closed at once. 512 by default.
    pub connections: usize,
    /// Bytes of all request bodies that are being read together; a request above is
    /// answered with HTTP 503. 128 MiB by default.
    pub body_bytes: usize,
    /// Time for the head of a request, for its body, for a peer to read the next part of
    /// its response, and for a connection to be idle; the connection is closed then. It
    /// should be longer than clients keep idle connections. 30 seconds by default.
    pub stall_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            users: 100_000,
            groups: 10_000,
            memberships: 200_000,
            messages: 50_000,
            message_bytes: 16 * 1024 * 1024,
            requests: 1_000,
            request_bytes: 4 * 1024 * 1024,
            worlds: 100,
            connections: 512,
            body_bytes: 128 * 1024 * 1024,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Tokens {
    /// The token that opens a world. `None` if no token does, or a text is no name of a
    /// world.
    #[must_use]
    pub fn of_world(&self, name: &str) -> Option<String> {
        let base = match self {
            Self::Any => DEFAULT_TOKEN,
            Self::Base(token) => token,
            Self::Only(worlds) => {
                let mut worlds = worlds.iter();
                return worlds
                    .find(|(_, world)| *world == name)
                    .map(|(token, _)| token.clone());
            }
        };
        if name == DEFAULT_WORLD {
            return Some(base.to_owned());
        }
        is_named(name).then(|| format!("{base}-{name}"))
    }

    /// The name of the world that a token opens, or `None` if it is not taken.
    pub(crate) fn world(&self, token: &str) -> Option<String> {
        match self {
            Self::Any => named(DEFAULT_TOKEN, token).or_else(|| Some(hashed(token))),
            Self::Base(base) => named(base, token),
            Self::Only(worlds) => worlds.get(token).cloned(),
        }
    }

    /// The token that opens a world, if its name tells; a token that was set is not told
    /// to anybody.
    pub(crate) fn token(&self, world: &str) -> Option<String> {
        let is_public = *self == Self::Any;
        is_public.then(|| self.of_world(world)).flatten()
    }

    /// The worlds that are known before any request.
    pub(crate) fn worlds(&self) -> Vec<String> {
        match self {
            Self::Any | Self::Base(_) => Vec::new(),
            Self::Only(worlds) => worlds.values().cloned().collect(),
        }
    }
}

/// Whether a text may be the name of a world.
pub(crate) fn is_world(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(allowed)
}

/// The name of the world that a token has behind a base.
fn named(base: &str, token: &str) -> Option<String> {
    let rest = token.strip_prefix(base)?;
    if rest.is_empty() {
        return Some(DEFAULT_WORLD.to_owned());
    }
    let name = rest.strip_prefix('-')?;
    is_named(name).then(|| name.to_owned())
}

/// Whether a token can name the world: those of hashed tokens have names of their own.
fn is_named(world: &str) -> bool {
    is_world(world) && !world.starts_with(HASHED)
}

fn hashed(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    let digits = hash[..6].iter().map(|byte| format!("{byte:02x}"));
    format!("{HASHED}{}", digits.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_the_world_that_it_names() {
        for (token, world) in [
            ("sandbox", "default"),
            ("sandbox-default", "default"),
            ("sandbox-shop", "shop"),
            ("sandbox-a.b_c-1", "a.b_c-1"),
        ] {
            assert_eq!(Tokens::Any.world(token).as_deref(), Some(world), "{token}");
        }
    }

    #[test]
    fn a_world_has_the_token_that_opens_it() {
        let only = BTreeMap::from([("secret".to_owned(), "shop".to_owned())]);
        for (tokens, world, token) in [
            (Tokens::Any, "default", "sandbox"),
            (Tokens::Any, "shop", "sandbox-shop"),
            (Tokens::Base("t0k".to_owned()), "default", "t0k"),
            (Tokens::Base("t0k".to_owned()), "shop", "t0k-shop"),
            (Tokens::Only(only), "shop", "secret"),
        ] {
            assert_eq!(tokens.of_world(world).as_deref(), Some(token));
            assert_eq!(tokens.world(token).as_deref(), Some(world));
        }
        for name in ["", "a b", "token-2bb80d537b1d"] {
            assert_eq!(Tokens::Any.of_world(name), None, "{name}");
        }
    }

    #[test]
    fn any_other_token_opens_a_world_whose_name_does_not_show_it() {
        let long = format!("sandbox-{}", "x".repeat(64));
        let tokens = [
            "secret",
            "sandbox-",
            "sandbox-a b",
            "sandbox-token-1",
            &long,
        ];
        let worlds = tokens.map(|token| Tokens::Any.world(token).unwrap());
        for (index, world) in worlds.iter().enumerate() {
            assert!(world.starts_with(HASHED) && is_world(world), "{world}");
            assert_eq!(world.len(), HASHED.len() + 12);
            assert!(!worlds[..index].contains(world));
        }
        assert_eq!(worlds[0], "token-2bb80d537b1d");
    }

    #[test]
    fn only_a_base_and_the_tokens_that_it_begins_are_taken() {
        let base = Tokens::Base("t0k".to_owned());
        for token in ["sandbox", "t0", "t0ks", "t0k-", "t0k-a b", "sandbox-shop"] {
            assert_eq!(base.world(token), None, "{token}");
        }
        assert_eq!(base.token("default"), None);
    }

    #[test]
    fn only_the_named_tokens_are_taken() {
        let only = BTreeMap::from([("secret".to_owned(), "default".to_owned())]);
        let tokens = Tokens::Only(only);
        assert_eq!(tokens.world("secret").as_deref(), Some("default"));
        assert_eq!(tokens.world("sandbox"), None);
        assert_eq!(tokens.token("default"), None);
    }
}
