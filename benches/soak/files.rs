//! The files that the replicas read, and their successors.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use mesibo_grpc::access::key::KeyHash;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::process::KEY;

/// The name in the certificate of the replicas.
pub const NAME: &str = "soak.example.com";

/// A folder with all of them.
pub struct Files {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// The certificate of the authority, in PEM.
    pub authority: String,
    /// How many successors there were.
    pub generation: usize,
}

impl Files {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the soak");
        let key = KeyPair::generate().expect("there is randomness");
        let authority = params.self_signed(&key).expect("it is whole").pem();
        let files = Self {
            folder: TempDir::new().expect("there is room for a folder"),
            issuer: Issuer::new(params, key),
            authority,
            generation: 0,
        };
        files.write();
        files.accept_tokens();
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the token, the certificate with its key, and the callers. The backend takes
    /// the token before and the new one, until [`Self::revoke`].
    pub fn renew(&mut self) {
        self.generation += 1;
        self.accept_tokens();
        self.write();
    }

    /// From now on the backend takes the newest token alone.
    pub fn revoke(&self) {
        write(&self.path("tokens"), &token(self.generation));
    }

    fn accept_tokens(&self) {
        let before = token(self.generation.saturating_sub(1));
        let both = format!("{before}\n{}", token(self.generation));
        write(&self.path("tokens"), &both);
    }

    fn write(&self) {
        let key = KeyPair::generate().expect("there is randomness");
        let params = CertificateParams::new([NAME.to_owned()]).expect("it is a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is whole");
        let callers = format!(
            "[callers.soak]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n\
             [callers.generation-{}]\nkeys = [\"{}\"]\nmay-call = [\"*\"]\n",
            KeyHash::of(KEY.as_bytes()),
            self.generation,
            KeyHash::of(format!("mgk_{}", self.generation).as_bytes()),
        );
        write(&self.path("tls.crt"), &certificate.pem());
        write(&self.path("tls.key"), &key.serialize_pem());
        write(&self.path("token"), &token(self.generation));
        write(&self.path("settings.toml"), &callers);
    }
}

fn token(generation: usize) -> String {
    format!("t0k{generation}")
}

/// Puts a file in place at once, which its user alone can read.
fn write(path: &Path, content: &str) {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new();
    let file = file.create(true).truncate(true).write(true).mode(0o600);
    let written = file
        .open(&new)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.expect("there is room");
}
