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
    /// The token that opens a world under [`Tokens::Any`]: `sandbox` for `default`, and
    /// `sandbox-NAME` for another one.
    #[must_use]
    pub fn of_world(name: &str) -> String {
        if name == DEFAULT_WORLD {
            DEFAULT_TOKEN.to_owned()
        } else {
            format!("{DEFAULT_TOKEN}-{name}")
        }
    }

    /// The name of the world that a token opens, or `None` if it is not taken.
    pub(crate) fn world(&self, token: &str) -> Option<String> {
        match self {
            Self::Only(worlds) => worlds.get(token).cloned(),
            Self::Any if token == DEFAULT_TOKEN => Some(DEFAULT_WORLD.to_owned()),
            Self::Any => {
                let named = token.strip_prefix(DEFAULT_TOKEN);
                let named = named.and_then(|rest| rest.strip_prefix('-'));
                let named = named.filter(|name| is_world(name) && !name.starts_with(HASHED));
                Some(named.map_or_else(|| hashed(token), str::to_owned))
            }
        }
    }

    /// The token that opens a world, if its name tells; a token that was set is not told
    /// to anybody.
    pub(crate) fn token(&self, world: &str) -> Option<String> {
        let named = *self == Self::Any && !world.starts_with(HASHED);
        named.then(|| Self::of_world(world))
    }

    /// The worlds that are known before any request.
    pub(crate) fn worlds(&self) -> Vec<String> {
        match self {
            Self::Any => Vec::new(),
            Self::Only(worlds) => worlds.values().cloned().collect(),
        }
    }
}

/// Whether a text may be the name of a world.
pub(crate) fn is_world(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(allowed)
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
        for world in ["default", "shop"] {
            let token = Tokens::of_world(world);
            assert_eq!(Tokens::Any.world(&token).as_deref(), Some(world));
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
    fn only_the_named_tokens_are_taken() {
        let only = BTreeMap::from([("secret".to_owned(), "default".to_owned())]);
        let tokens = Tokens::Only(only);
        assert_eq!(tokens.world("secret").as_deref(), Some("default"));
        assert_eq!(tokens.world("sandbox"), None);
        assert_eq!(tokens.token("default"), None);
    }
}
