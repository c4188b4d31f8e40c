//! How connections to Mesibo are opened: TCP, the proxy, TLS.

use std::{sync::Arc, time::Duration};

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, dns::GaiResolver, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use socket2::SockRef;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceBuilder, timeout::TimeoutLayer, util::BoxCloneSyncService};

use super::stream::Transport;
use crate::config::{Config, Protocol, Proxy, is_loopback};

/// The names of the versions of HTTP in TLS (RFC 7301, section 6, and RFC 9113, section 3.1).
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// A stream to Mesibo, with TLS or without.
pub(crate) type TcpOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens streams to the host of a URL.
pub(super) type Connector<S> = BoxCloneSyncService<Uri, S, BoxError>;

impl Transport for TcpOrTls {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(match self {
            MaybeHttpsStream::Http(tcp) => tcp.inner(),
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        })
    }

    fn chose_http2(&self) -> bool {
        match self {
            MaybeHttpsStream::Http(_) => false,
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().1.alpn_protocol() == Some(H2),
        }
    }
}

/// The connector that a configuration describes.
///
/// # Errors
///
/// If the certificates or the proxy cannot be used.
pub(super) fn connector(config: &Config) -> Result<Connector<TcpOrTls>, BoxError> {
    let tcp = tcp(GaiResolver::new(), config.connect_timeout);
    let tls = Arc::new(tls(config)?);

    let Some(Proxy(proxy)) = config.proxy.as_ref().filter(|_| !is_loopback(&config.url)) else {
        let connector = HttpsConnector::from((tcp, tls));
        return Ok(within(config.connect_timeout, connector));
    };
    let upstream = config.url.as_str().parse()?;
    let proxy = Matcher::builder()
        .all(proxy.as_str())
        .build()
        .intercept(&upstream)
        .ok_or("the URL of the proxy is not that of an HTTP proxy")?;
    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
    if let Some(credentials) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(credentials.clone());
    }
    let connector = HttpsConnector::from((tunnel, tls));
    Ok(within(config.connect_timeout, connector))
}

/// Opens TCP connections. The addresses of a name share `connect_timeout`, so that one that
/// does not answer leaves time for the next.
fn tcp<R>(resolver: R, connect_timeout: Duration) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    // TLS is for the connector around this one, so HTTPS is no mistake here.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

/// Gives a connector a time limit for all that it does.
fn within<C>(connect_timeout: Duration, connector: C) -> Connector<TcpOrTls>
where
    C: Service<Uri, Response = TcpOrTls, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Future: Send,
{
    let timeout = TimeoutLayer::new(connect_timeout);
    BoxCloneSyncService::new(ServiceBuilder::new().layer(timeout).service(connector))
}

/// Trusts the system's certificate authorities, and those of the configuration, and offers
/// the versions of HTTP that it allows.
fn tls(config: &Config) -> Result<rustls::ClientConfig, BoxError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in
        CertificateDer::pem_slice_iter(config.ca_certificates.as_deref().unwrap_or_default())
    {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authority is trusted; HTTPS will fail");
    }
    let provider = rustls::crypto::ring::default_provider();
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let offered: &[&[u8]] = match config.protocol {
        Protocol::Auto => &[H2, HTTP_1_1],
        Protocol::Http1 => &[HTTP_1_1],
        Protocol::Http2 => &[H2],
    };
    tls.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::SocketAddr};

    use socket2::{Domain, Socket, Type};
    use tokio::{net::TcpListener, time::timeout};
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// An address that does not answer: Linux ignores who wants to connect while the queue
    /// of a listener is full. The sockets keep it so.
    async fn dead_address() -> (SocketAddr, Vec<Socket>, Vec<TcpStream>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            queued.push(stream.unwrap());
        }
        (address, vec![listener], queued)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let (dead, _listener, _queued) = dead_address().await;
        let live = SocketAddr::from(([127, 0, 0, 2], dead.port()));
        let listener = TcpListener::bind(live).await.unwrap();
        let resolver =
            service_fn(move |_| async move { Ok::<_, Infallible>(vec![dead, live].into_iter()) });

        let connect_timeout = Duration::from_secs(2);
        let uri = Uri::from_static("http://mesibo.test");
        let connecting = tcp(resolver, connect_timeout).oneshot(uri);
        let stream = timeout(connect_timeout, connecting).await;
        let stream = stream.expect("one address answers").unwrap();
        assert_eq!(stream.inner().peer_addr().unwrap(), live);
        listener.accept().await.unwrap();
    }
}
