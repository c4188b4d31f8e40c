//! Parsers of files, by their paths.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// A file with the token of an application.
pub(in crate::config) fn token(path: &Path) -> Result<SecretString, String> {
    let content = read(path)?;
    let text = str::from_utf8(&content).map_err(|_| "expected a text file with one token")?;
    super::token(text)
}

/// A file with the token of an application, and its path.
pub(in crate::config) fn token_with_path(text: &str) -> Result<(SecretString, PathBuf), String> {
    let path = PathBuf::from(text);
    Ok((token(&path)?, path))
}

/// A PEM file with at least one certificate.
pub(in crate::config) fn certificates(text: &str) -> Result<Vec<u8>, String> {
    let pem = read(text.as_ref())?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err("expected a file of certificates in PEM".into());
    }
    Ok(pem.to_vec())
}

/// The content of a file, which may be secret.
pub(in crate::config) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot read the file: {error}")
}
