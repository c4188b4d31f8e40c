//! How to reach Mesibo.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::{Host, Url};

/// How to reach Mesibo.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the application, for log lines.
    pub app: Arc<str>,
    /// The header `user-agent` of requests.
    pub user_agent: String,
    /// The URL of the API, without query.
    pub url: Url,
    /// The application's token.
    pub token: SecretString,
    /// The HTTP proxy on the way out, with credentials if it wants them. A
    /// loopback `url` is never proxied.
    pub proxy: Option<Proxy>,
    /// Certificate authorities, in PEM, to trust besides the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// Longest time to make a connection, TLS included.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept: less than servers keep theirs, for a
    /// request on a connection that is just being closed is lost.
    pub idle_timeout: Duration,
    /// How long connections are used, so that a changed address is seen.
    pub connection_lifetime: Duration,
    /// Largest reply that is read, in bytes.
    pub max_reply_bytes: usize,
    /// How many requests may be in flight at a time.
    pub max_in_flight: usize,
    /// How many more may wait for one to end.
    pub max_waiting: usize,
    /// Longest time that one waits.
    pub max_wait: Duration,
}

/// The URL of an HTTP proxy. Its credentials are never shown.
#[derive(Clone)]
pub struct Proxy(pub Url);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Scheme, host and port: never the credentials.
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// Whether a URL names this machine, so that nothing on the way can listen in.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://localhost:1/",
            "http://127.8.9.1/",
            "http://[::1]:80/",
        ] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "https://api.mesibo.com/api.php",
            "http://localhost.example/",
            "http://10.0.0.1/",
        ] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }
}
