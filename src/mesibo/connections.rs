//! The connections to Mesibo.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::Instant;
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _, timeout::TimeoutLayer,
    util::BoxCloneSyncService,
};
use url::{Host, Url};

use super::{
    client::Config,
    exchange::FormBody,
    metrics::Open,
    stream::{CheckedStream, TcpOrTls},
};

/// The URL of an HTTP proxy. Its credentials are never shown.
#[derive(Clone)]
pub struct Proxy(pub Url);

/// Makes connections, whatever is on the way.
type Connector = BoxCloneSyncService<Uri, CheckedStream, BoxError>;

/// A pool of connections.
pub(super) type Pool = Client<Connector, FormBody>;

/// The pool of connections in use.
///
/// hyper cannot bound the lifetime of a connection, so a new pool takes the place of
/// the old one when its time has come; calls in flight end on the old one.
pub(super) struct Connections {
    connector: Connector,
    idle_timeout: Duration,
    lifetime: Duration,
    current: Mutex<(Pool, Instant)>,
}

impl Connections {
    /// Opens none yet; those that are open are counted by `connections`.
    ///
    /// # Errors
    ///
    /// If the certificates or the proxy cannot be used.
    pub(super) fn open(config: &Config, connections: Gauge) -> Result<Self, BoxError> {
        let connector = connector(config, connections)?;
        let pool = pool(connector.clone(), config.idle_timeout);
        Ok(Self {
            connector,
            idle_timeout: config.idle_timeout,
            lifetime: config.connection_lifetime,
            current: Mutex::new((pool, Instant::now() + config.connection_lifetime)),
        })
    }

    /// The pool to take a connection from.
    pub(super) fn current(&self) -> Pool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (pool, expires_at) = &mut *current;
        if *expires_at <= Instant::now() {
            *pool = self::pool(self.connector.clone(), self.idle_timeout);
            *expires_at = Instant::now() + self.lifetime;
        }
        pool.clone()
    }
}

fn pool(connector: Connector, idle_timeout: Duration) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle_timeout)
        .build(connector)
}

fn connector(config: &Config, connections: Gauge) -> Result<Connector, BoxError> {
    let mut tcp = HttpConnector::new();
    // The URL may be of HTTPS; the layer above sees to that.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(tls(config.ca_certificates.as_deref())?)
        .https_or_http()
        .enable_http1();

    let Some(Proxy(proxy)) = config.proxy.as_ref().filter(|_| !is_loopback(&config.url)) else {
        let connector = tls.wrap_connector(tcp);
        return Ok(checked(connector, config.connect_timeout, connections));
    };
    let upstream = config.url.as_str().parse()?;
    let proxy = Matcher::builder()
        .all(proxy.as_str())
        .build()
        .intercept(&upstream)
        .ok_or("the proxy is not one")?;
    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
    if let Some(credentials) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(credentials.clone());
    }
    let connector = tls.wrap_connector(tunnel);
    Ok(checked(connector, config.connect_timeout, connections))
}

/// A connector whose connections are checked before they are used again.
fn checked<C>(connector: C, connect_timeout: Duration, connections: Gauge) -> Connector
where
    C: Service<Uri, Response = TcpOrTls, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Future: Send,
{
    let checked = connector.map_response(move |stream| {
        let open = Open::new(&connections);
        CheckedStream::new(stream, open)
    });
    let timeout = TimeoutLayer::new(connect_timeout);
    BoxCloneSyncService::new(ServiceBuilder::new().layer(timeout).service(checked))
}

/// Trusts the system's certificate authorities, and those in `pem`.
fn tls(pem: Option<&[u8]>) -> Result<rustls::ClientConfig, BoxError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(pem.unwrap_or_default()) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        tracing::warn!("there are no certificate authorities to trust; HTTPS will fail");
    }
    let provider = rustls::crypto::ring::default_provider();
    Ok(rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
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
