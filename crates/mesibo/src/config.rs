//! How a client reaches Mesibo, and how much it asks of it at a time.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::{Host, Url};

/// The URL of Mesibo's API.
const URL: &str = "https://api.mesibo.com/api.php";

/// How a client reaches Mesibo, and how much it asks of it at a time.
///
/// [`Config::new`] has a default for everything but the application and its token.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the application, for log lines.
    pub app: Arc<str>,
    /// The header `user-agent` of requests. Default: `mesibo/` and the version of this
    /// crate.
    pub user_agent: String,
    /// The URL of the API, without query. Every request carries the token, so it should
    /// be HTTPS, or else [loopback](is_loopback). Default:
    /// `https://api.mesibo.com/api.php`.
    pub url: Url,
    /// The application's token.
    pub token: SecretString,
    /// The HTTP proxy to connect through, which a loopback `url` never is. Default: none;
    /// the environment does not count.
    pub proxy: Option<Proxy>,
    /// The version of HTTP to speak. Default: [`Protocol::Auto`].
    pub protocol: Protocol,
    /// Certificate authorities, in PEM, to trust besides the system's. Default: none.
    pub ca_certificates: Option<Vec<u8>>,
    /// Longest time to open a connection: name, TCP, proxy and TLS. The addresses of a name
    /// share it. Default: 3 s.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept. It should be shorter than servers keep theirs:
    /// a request on a connection that the server closes at that moment is lost. Default:
    /// 15 s.
    pub idle_timeout: Duration,
    /// How long a connection is used, so that a changed address is seen. Default: 5 min.
    pub connection_lifetime: Duration,
    /// Largest body of a reply that is read, in bytes. Default: 1 MiB.
    pub max_reply_bytes: usize,
    /// How many requests may be in flight at a time. Default: 1,024.
    pub max_in_flight: usize,
    /// How many more calls may wait until one in flight ends. Default: 256.
    pub max_waiting: usize,
    /// How long a call waits for that before it fails. Default: 500 ms.
    pub max_wait: Duration,
    /// How long nobody must have had an answer for calls that their callers give up, by
    /// their deadlines or otherwise, to be signs of an outage. The usual deadline is a good
    /// value. Default: 15 s.
    pub patience: Duration,
}

/// The version of HTTP that a client speaks.
///
/// With HTTP/2, many requests share a connection, up to 100 of them and to what the server
/// allows. A request that the server refused, or that it did not come to before it ended
/// the connection, surely was not carried out, so it is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 where the server chooses it in the TLS handshake (ALPN, RFC 7301), otherwise
    /// HTTP/1.1. Without TLS: HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only: a server that does not choose it in the TLS handshake counts as one that
    /// cannot be reached. Without TLS the server has to know (RFC 9113, section 3.3).
    Http2,
}

/// The URL of an HTTP proxy, with credentials if it wants them, which are never shown.
#[derive(Clone)]
pub struct Proxy(pub Url);

impl Protocol {
    /// The name of HTTP/1.1 for an [`Observer`](crate::Observer).
    pub const HTTP1: &str = "http1";

    /// The name of HTTP/2 for an [`Observer`](crate::Observer).
    pub const HTTP2: &str = "http2";

    /// The names of all versions that an [`Observer`](crate::Observer) is told.
    pub const NAMES: [&str; 2] = [Self::HTTP1, Self::HTTP2];
}

impl Config {
    /// Reaches Mesibo itself on behalf of an application, with a default for everything
    /// else.
    #[must_use]
    pub fn new(app: impl Into<Arc<str>>, token: impl Into<SecretString>) -> Self {
        Self {
            app: app.into(),
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into(),
            url: URL.parse().expect("the constant is a URL"),
            token: token.into(),
            proxy: None,
            protocol: Protocol::Auto,
            ca_certificates: None,
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(15),
            connection_lifetime: Duration::from_mins(5),
            max_reply_bytes: 1 << 20,
            max_in_flight: 1024,
            max_waiting: 256,
            max_wait: Duration::from_millis(500),
            patience: Duration::from_secs(15),
        }
    }
}

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

/// Whether a URL names this machine, so that nobody on a network can read along.
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

    #[test]
    fn no_debug_output_has_a_secret() {
        let mut config = Config::new("orders", "s3cret-token");
        let proxy = "http://user:s3cret-password@10.0.0.1:3128";
        config.proxy = Some(Proxy(proxy.parse().unwrap()));
        let debug = format!("{config:?}");
        assert!(debug.contains("http://10.0.0.1:3128"), "{debug}");
        assert!(!debug.contains("s3cret"), "{debug}");
    }
}
