//! The connections to Mesibo.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;
use url::{Host, Url};

use super::client::Config;

/// The URL of an HTTP proxy. Its credentials are never shown.
#[derive(Clone)]
pub struct Proxy(pub Url);

/// The pool of connections in use.
///
/// reqwest cannot bound the lifetime of a connection, so a new pool takes the place
/// of the old one when its time has come; calls in flight end on the old one.
pub(super) struct Connections(Mutex<Pool>);

struct Pool {
    client: reqwest::Client,
    expires_at: Instant,
}

impl Connections {
    pub(super) fn open(config: &Config) -> Result<Self, reqwest::Error> {
        Ok(Self(Mutex::new(Pool::open(config)?)))
    }

    /// The pool to take a connection from.
    pub(super) fn current(&self, config: &Config) -> reqwest::Client {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.expires_at <= Instant::now() {
            match Pool::open(config) {
                Ok(fresh) => *pool = fresh,
                Err(error) => tracing::error!(%error, "cannot renew the connections to Mesibo"),
            }
        }
        pool.client.clone()
    }
}

impl Pool {
    fn open(config: &Config) -> Result<Self, reqwest::Error> {
        // reqwest takes the process-wide provider; one that is installed already is
        // as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(config.idle_timeout);
        if let Some(Proxy(url)) = config.proxy.as_ref().filter(|_| !is_loopback(&config.url)) {
            builder = builder.proxy(reqwest::Proxy::all(url.clone())?);
        }
        if let Some(pem) = &config.ca_certificates {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self {
            client: builder.build()?,
            expires_at: Instant::now() + config.connection_lifetime,
        })
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
