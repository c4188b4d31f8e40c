//! TLS on the gRPC port, with certificates made here.

pub mod authority;
mod handshake;
mod log;
mod mutual;
mod rotation;
mod security;

use std::{net::SocketAddr, sync::Arc};

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Status,
    transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::support::{Facade, facade};
use authority::{Authority, Files, Identity};

/// The name in the server's certificate.
const NAME: &str = "facade.example";

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
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}
