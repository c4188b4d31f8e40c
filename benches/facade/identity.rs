//! A certificate for the servers that are measured with TLS.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// The files of a certificate for this machine, which is its own authority.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    /// Where they are, if they were made for this run.
    _folder: Option<TempDir>,
}

impl Identity {
    /// Makes one.
    pub fn make() -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("it is a name");
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
        let pair = KeyPair::generate().expect("there is randomness");
        let certificate = params.self_signed(&pair).expect("it is whole");
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            let mut options = OpenOptions::new();
            let file = options.create_new(true).write(true).mode(0o600).open(&path);
            let mut file = file.expect("there is room for a file");
            file.write_all(content.as_bytes()).expect("there is room");
            path
        };
        Self {
            certificate: write("certificate.pem", &certificate.pem()),
            key: write("key.pem", &pair.serialize_pem()),
            _folder: Some(folder),
        }
    }

    /// The one that the arguments of a role name, if they do.
    pub fn of_arguments(arguments: &[String]) -> Option<Self> {
        let [certificate, key, ..] = arguments else {
            return None;
        };
        Some(Self {
            certificate: certificate.into(),
            key: key.into(),
            _folder: None,
        })
    }

    /// The arguments of a role that serves with it.
    pub fn arguments(&self) -> [&str; 2] {
        [&self.certificate, &self.key].map(|path| path.to_str().expect("it is a text"))
    }

    /// The settings of a facade that serves with it, in front of a backend that does.
    pub fn settings(&self) -> String {
        let [certificate, key] = self.arguments();
        format!(
            "tls-certificate-file = \"{certificate}\"\ntls-key-file = \"{key}\"\n\
             upstream-ca-file = \"{certificate}\"\n"
        )
    }

    /// The certificate, in PEM.
    pub fn certificate(&self) -> String {
        fs::read_to_string(&self.certificate).expect("the file is there")
    }

    /// Its key, in PEM.
    pub fn key(&self) -> String {
        fs::read_to_string(&self.key).expect("the file is there")
    }

    /// What makes the handshakes of a server that offers protocols by ALPN.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_slice(self.certificate().as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key().as_bytes());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.expect("it is one")],
                key.expect("it is one"),
            )
            .expect("they belong together");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
