//! What the files of TLS hold, checked before it is in force.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::expiry::{self, Expiry, Kind};
use crate::files::{Snapshot, wrong};

/// The ALPN protocol name of HTTP/2.
const H2: &[u8] = b"h2";

/// The ALPN protocol name of HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// The files of TLS, all in PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server's certificate, with the chain to the authority that clients trust.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients' certificates, for mutual TLS.
    pub client_ca: Option<PathBuf>,
    /// The revocation lists of these authorities, and of those between them and clients.
    /// Without it no certificate is looked up in a list.
    pub client_crl: Option<PathBuf>,
    /// Whether a client may do without a certificate, if there are authorities.
    pub client_may_be_unknown: bool,
    /// Whether HTTP/1.1 is spoken besides HTTP/2, which is preferred.
    pub http1: bool,
}

/// One version of the files.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// The server's certificate, and those above it.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The ends of validity of what the files hold, one entry a file.
    pub(super) expiries: Vec<Expiry>,
}

/// What clients' certificates are verified by.
struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    expiries: Vec<Expiry>,
}

impl Files {
    /// The paths.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let Self {
            certificate,
            key,
            client_ca,
            client_crl,
            ..
        } = self;
        let files = [certificate, key].into_iter();
        files.chain(client_ca).chain(client_crl).cloned().collect()
    }

    /// Reads one version of the files.
    pub(super) fn load(&self, snapshot: &Snapshot) -> Result<Loaded, String> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(snapshot, &self.certificate)?;
        expiry::check_server_certificate(&chain[0], &self.certificate, SystemTime::now())?;
        let mut expiries = vec![expiry::of_certificates(
            Kind::Server,
            &self.certificate,
            &chain,
        )?];
        let key = snapshot
            .content(&self.key)
            .and_then(|pem| PrivateKeyDer::from_pem_slice(pem).map_err(|error| error.to_string()));
        let key = key.map_err(|error| wrong(&self.key, "a private key in PEM", &error))?;

        let verifier = match &self.client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(file) => {
                let clients = self.clients(file, snapshot, &provider)?;
                expiries.extend(clients.expiries);
                clients.verifier
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key)
            .map_err(|error| {
                let (certificate, key) = (self.certificate.display(), self.key.display());
                format!("{certificate} and {key} do not make a certificate with its key: {error}")
            })?;
        config.alpn_protocols = vec![H2.to_vec()];
        if self.http1 {
            config.alpn_protocols.push(HTTP1.to_vec());
        }
        if self.client_ca.is_some() {
            // A session that is resumed takes over the client's certificate of its first
            // handshake, which nobody verifies again: not its validity, its revocation, nor
            // its authority.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Loaded {
            config: Arc::new(config),
            chain,
            expiries,
        })
    }

    fn clients(
        &self,
        file: &Path,
        snapshot: &Snapshot,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, String> {
        let authorities = certificates(snapshot, file)?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots
                .add(authority.clone())
                .map_err(|error| wrong(file, "certificate authorities", &error))?;
        }
        let mut expiries = vec![expiry::of_certificates(Kind::ClientCa, file, &authorities)?];
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        if let Some(file) = &self.client_crl {
            let lists = revocation_lists(snapshot, file)?;
            expiries.push(expiry::of_revocation_lists(file, &lists, &authorities)?);
            // What is not known not to be revoked is refused, as with OpenSSL: a
            // certificate of an authority without a list, or whose list has expired.
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        if self.client_may_be_unknown {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| {
            wrong(
                file,
                "certificate authorities, with the lists of theirs",
                &error,
            )
        })?;
        Ok(Clients { verifier, expiries })
    }
}

fn certificates(snapshot: &Snapshot, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    all(
        snapshot,
        file,
        "certificates in PEM",
        CertificateDer::pem_slice_iter,
    )
}

fn revocation_lists(
    snapshot: &Snapshot,
    file: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(
        snapshot,
        file,
        "certificate revocation lists in PEM",
        CertificateRevocationListDer::pem_slice_iter,
    )
}

/// Everything of a kind that a file holds, at least one.
fn all<'a, T, I: Iterator<Item = Result<T, pem::Error>>>(
    snapshot: &'a Snapshot,
    file: &Path,
    expected: &str,
    items: impl FnOnce(&'a [u8]) -> I,
) -> Result<Vec<T>, String> {
    let content = snapshot
        .content(file)
        .map_err(|error| wrong(file, expected, &error))?;
    let items = items(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(file, expected, &error))?;
    if items.is_empty() {
        let file = file.display();
        return Err(format!("expected {expected} in {file}, and found none"));
    }
    Ok(items)
}
