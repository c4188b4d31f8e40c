//! How connections to Mesibo are made: TCP, the proxy, TLS.

use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceBuilder, timeout::TimeoutLayer, util::BoxCloneSyncService};

use crate::config::{Config, Proxy, is_loopback};

/// A connection, with TLS or without.
pub(crate) type TcpOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections, whatever is on the way.
pub(crate) type Connector = BoxCloneSyncService<Uri, TcpOrTls, BoxError>;

/// The way to Mesibo.
///
/// # Errors
///
/// If the certificates or the proxy cannot be used.
pub(crate) fn connector(config: &Config) -> Result<Connector, BoxError> {
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
        return Ok(within(config.connect_timeout, connector));
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
    Ok(within(config.connect_timeout, connector))
}

fn within<C>(connect_timeout: Duration, connector: C) -> Connector
where
    C: Service<Uri, Response = TcpOrTls, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Future: Send,
{
    let timeout = TimeoutLayer::new(connect_timeout);
    BoxCloneSyncService::new(ServiceBuilder::new().layer(timeout).service(connector))
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
