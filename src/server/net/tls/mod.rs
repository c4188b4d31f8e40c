//! TLS on the gRPC port: the server's certificate, and those of clients under mutual TLS.
//!
//! - [`inspect`]: what a certificate is for, and what clients will not like about it
//! - [`notice`]: tells of what expires
//! - `load`: what the files hold, checked
//! - `expiry`: until when that is valid

mod expiry;
pub mod inspect;
mod load;
pub mod notice;

use std::{fmt, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::EndEntityCert;

use crate::{
    call::{Certificate, Serial},
    files::Snapshot,
};
pub use load::Files;
use load::Loaded;

/// TLS, with the last version of the files that was valid. Clones share it.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<ArcSwap<Loaded>>,
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
    /// If one cannot be read, they do not belong together, or the server's certificate is
    /// not valid now.
    pub fn new(files: Files) -> Result<Self, String> {
        let loaded = files.load(&Snapshot::take(&files.paths()))?;
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(loaded)),
            files: Arc::new(files),
        })
    }

    /// Puts another version of the files in force, for the connections that begin from now
    /// on.
    ///
    /// # Errors
    ///
    /// As with [`Self::new`]; the previous version then stays in force.
    pub fn replace(&self, snapshot: &Snapshot) -> Result<(), String> {
        self.current.store(Arc::new(self.files.load(snapshot)?));
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
        self.files.paths()
    }

    /// Makes the TLS handshake, and gives the client's certificate, if it showed one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Certificate>)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        let stream = acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.map(read).transpose()?;
        Ok((stream, certificate))
    }
}

/// What calls need to know of a certificate that was verified. The subject's common name
/// is none of its names, RFC 9525.
fn read(certificate: &CertificateDer) -> io::Result<Certificate> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let validity = expiry::validity(certificate).map_err(invalid)?;
    let certificate =
        EndEntityCert::try_from(certificate).map_err(|error| invalid(error.to_string()))?;
    let names = certificate.valid_dns_names();
    let names = names.chain(certificate.valid_uri_names());
    Ok(Certificate {
        names: names.map(ToOwned::to_owned).collect(),
        serial: Serial(certificate.serial().into()),
        valid_until: validity.not_after,
    })
}
