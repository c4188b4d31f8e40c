//! TLS on the gRPC port: the server's certificate, and those of clients under mutual TLS.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::EndEntityCert;

use crate::call::{Certificate, Serial};

/// The ALPN protocol name of HTTP/2.
const H2: &[u8] = b"h2";

/// The files of TLS, all in PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server's certificate, with the chain to the authority that clients trust.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients' certificates, for mutual TLS.
    pub client_ca: Option<PathBuf>,
    /// Whether a client may do without a certificate, if there are authorities.
    pub client_may_be_unknown: bool,
}

/// TLS, with the last version of the files that was valid. Clones share it.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.files, f)
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or they do not belong together.
    pub fn new(files: Files) -> Result<Self, String> {
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(files.read()?)),
            files: Arc::new(files),
        })
    }

    /// Reads the files again, for the connections that begin from now on.
    ///
    /// # Errors
    ///
    /// As with [`Self::new`]; the previous version then stays in force.
    pub fn reload(&self) -> Result<(), String> {
        self.current.store(Arc::new(self.files.read()?));
        Ok(())
    }

    /// Whether clients have certificates as well.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// The files that are read.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let Files {
            certificate,
            key,
            client_ca,
            ..
        } = &*self.files;
        let files = [certificate, key].into_iter().chain(client_ca);
        files.cloned().collect()
    }

    /// Makes the TLS handshake, and gives the client's certificate, if it showed one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Certificate>)> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let stream = acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.map(read);
        Ok((stream, certificate))
    }
}

impl Files {
    fn read(&self) -> Result<ServerConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let certificates = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| wrong(&self.key, "a private key in PEM", &error))?;
        let verifier = match &self.client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(file) => self.verifier(file, &provider)?,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)
            .map_err(|error| {
                let (certificate, key) = (self.certificate.display(), self.key.display());
                format!("{certificate} and {key} do not make a certificate with its key: {error}")
            })?;
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
    }

    fn verifier(
        &self,
        file: &Path,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file)? {
            roots
                .add(certificate)
                .map_err(|error| wrong(file, "certificate authorities", &error))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        let builder = if self.client_may_be_unknown {
            builder.allow_unauthenticated()
        } else {
            builder
        };
        let verifier = builder.build();
        verifier.map_err(|error| wrong(file, "certificate authorities", &error))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(file, "certificates in PEM", &error))?;
    if certificates.is_empty() {
        let file = file.display();
        return Err(format!(
            "expected certificates in PEM in {file}, and found none"
        ));
    }
    Ok(certificates)
}

fn wrong(file: &Path, expected: &str, error: &impl fmt::Display) -> String {
    format!("expected {expected} in {}: {error}", file.display())
}

/// The names and the serial number in a certificate. The subject's common name is no name,
/// RFC 9525. There are none in what is not a certificate, which the handshake lets nobody
/// show.
fn read(certificate: &CertificateDer) -> Certificate {
    let certificate = EndEntityCert::try_from(certificate);
    let names = certificate.iter().flat_map(|certificate| {
        let names = certificate.valid_dns_names();
        names.chain(certificate.valid_uri_names())
    });
    Certificate {
        names: names.map(ToOwned::to_owned).collect(),
        serial: Serial(
            certificate
                .iter()
                .flat_map(|it| it.serial())
                .copied()
                .collect(),
        ),
    }
}
