//! TLS on the gRPC port, with certificates made here.

pub mod authority;
mod handshake;
mod log;
mod mutual;
mod resumption;
mod revocation;
mod rotation;
mod security;
mod validity;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Status,
    transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::support::{Backend, Facade, Process, facade, settings_file};
use authority::{Authority, Files, Identity};

/// The name in the server's certificate.
const NAME: &str = "facade.example";

/// A program with all that TLS has, metrics included, to which a client needs no
/// certificate.
pub struct Secured {
    pub server: Process,
    authority: Authority,
    _files: (Files, NamedTempFile),
}

impl Secured {
    /// It has these settings as well.
    pub fn serve(backend: &Backend, settings: &[&str]) -> Self {
        let (authority, clients) = (Authority::new(), Authority::new());
        let files = Files::new(&authority.issue(&[NAME]), &clients.pem);
        let later = SystemTime::now() + Duration::from_hours(24 * 365);
        let lists = settings_file(&clients.revoke(&[], later));
        let lists_path = lists.path().to_str().unwrap();
        let tls = [
            "--tls-client-crl-file",
            lists_path,
            "--tls-client-certificate",
            "optional",
        ];
        Self {
            server: rotation::serve(backend, &files, true, &[&tls, settings].concat()),
            authority,
            _files: (files, lists),
        }
    }

    pub fn metrics(&self) -> SocketAddr {
        self.server.logged_address("metrics=")
    }

    pub async fn channel(&self) -> Channel {
        let channel = connect(&self.server.address, &self.authority.pem, None).await;
        channel.unwrap()
    }
}

/// A facade with TLS, and these settings besides.
fn serve(backend: &str, files: &Files, mutual: bool, settings: &[(&str, &str)]) -> Facade {
    let tls = files.settings(mutual);
    let mut values: Vec<_> = tls
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    values.extend(settings);
    Facade::of(facade::config(backend, &values))
}

/// A client that trusts an authority, and shows a certificate if it has one.
async fn connect(
    server: impl ToString,
    trusted: &str,
    identity: Option<&Identity>,
) -> Result<Channel, transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .domain_name(NAME)
        .ca_certificate(Certificate::from_pem(trusted));
    if let Some(Identity { certificate, key }) = identity {
        tls = tls.identity(transport::Identity::from_pem(certificate, key));
    }
    Endpoint::from_shared(format!("https://{}", server.to_string()))
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect()
        .await
}

/// A call, with a key if there is one.
async fn list(channel: Channel, key: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(ListUsersRequest::default());
    if let Some(key) = key {
        let value = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let mut users = UserServiceClient::new(channel);
    users.list_users(request).await.map(drop)
}

/// A TLS handshake by itself.
async fn handshake(
    server: SocketAddr,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = client(authority, version, None);
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    handshake_by(&Arc::new(config), server).await
}

/// A TLS client that trusts an authority, and shows a certificate if it has one.
fn client(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    identity: Option<&Identity>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let certificate = identity.certificate.as_bytes();
            let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            let chain = vec![certificate];
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// A TLS handshake by itself, with the sessions that the client remembers.
async fn handshake_by(
    client: &Arc<ClientConfig>,
    server: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    connector.connect(name, stream).await
}
