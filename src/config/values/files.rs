//! Parsers of files, by their paths, and checks of who else may use the files.
//!
//! A file that every user of the machine can write is refused. One with a secret that
//! every user can read is refused if this process could take the permission away, and
//! warned of otherwise: Kubernetes mounts Secrets as files of root with the mode 0644, and
//! Docker with 0444, for the processes of one container. OpenSSH, too, looks at the mode
//! of a private key only if the file is its user's own.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{StatVfsMountFlags, statvfs},
    process::geteuid,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::SecretString;

use super::callers;
use crate::files::{self, Content};

/// The permission of every user to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// The permission of every user to write a file.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// The path of a file that is read later.
pub(in crate::config) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("expected the path of a file".into());
    }
    Ok(text.into())
}

/// The token of an application that a file holds.
pub(in crate::config) fn token(content: &[u8]) -> Result<SecretString, String> {
    let text = str::from_utf8(content).map_err(|_| "expected a text file with one token")?;
    super::token(text)
}

/// A file with the token of an application, and its path.
pub(in crate::config) fn token_with_path(text: &str) -> Result<(SecretString, PathBuf), String> {
    let path = PathBuf::from(text);
    Ok((token(&read_secret(&path)?)?, path))
}

/// A file with a password on one line, and its path.
pub(in crate::config) fn password(text: &str) -> Result<(SecretString, PathBuf), String> {
    let path = PathBuf::from(text);
    let content = read_secret(&path)?;
    let text = str::from_utf8(&content).map_err(|_| "expected a text file with a password")?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(char::is_control) {
        return Err("expected a file with a password on one line".into());
    }
    Ok((line.into(), path))
}

/// A file with the key of a caller, and its path.
pub(in crate::config) fn plain_key(text: &str) -> Result<(SecretString, PathBuf), String> {
    let path = PathBuf::from(text);
    let content = read_secret(&path)?;
    let text = str::from_utf8(&content).map_err(|_| "expected a text file with one key")?;
    Ok((callers::plain_key(text)?, path))
}

/// A PEM file with a private key.
pub(in crate::config) fn private_key(text: &str) -> Result<Content, String> {
    let content = read_secret(Path::new(text))?;
    PrivateKeyDer::from_pem_slice(&content)
        .map_err(|_| "expected a file with a private key in PEM")?;
    Ok(content)
}

/// The path of a private key, which is read later.
pub(in crate::config) fn key(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    // Who reads the key says what is wrong with a file that is not there.
    if path.exists() {
        check_secret(&path)?;
    }
    Ok(path)
}

/// The path of a file of certificates, which is read later.
pub(in crate::config) fn certificates_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() {
        check_trusted(&path)?;
    }
    Ok(path)
}

/// A PEM file with at least one certificate.
pub(in crate::config) fn certificates(text: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(text);
    let pem = files::read(path)?;
    check_trusted(path)?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err("expected a file of certificates in PEM".into());
    }
    Ok(pem.to_vec())
}

/// Checks that not every user can write a file.
pub(in crate::config) fn check_trusted(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if metadata.permissions().mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err("every user can write the file; take the permission away, with chmod o-w".into())
}

/// Checks that not every user can read or write a file with a secret, as far as this
/// process could help it. `Ok(true)` is a file that every user can read, and whose mode is
/// up to somebody else.
pub(in crate::config) fn check_secret(path: &Path) -> Result<bool, String> {
    check_trusted(path)?;
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if metadata.permissions().mode() & READABLE_BY_OTHERS == 0 {
        return Ok(false);
    }
    let user = geteuid();
    let is_own = user.is_root() || user.as_raw() == metadata.uid();
    let is_read_only =
        statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_own && !is_read_only {
        return Err(
            "every user can read the file, which holds a secret; take the permission away, \
             with chmod o-r"
                .into(),
        );
    }
    Ok(true)
}

fn read_secret(path: &Path) -> Result<Content, String> {
    let content = files::read(path)?;
    check_secret(path)?;
    Ok(content)
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot read the file: {error}")
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;

    #[test]
    fn a_file_is_refused_that_every_user_can_write_or_whose_secret_every_user_can_read() {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), "t0k").unwrap();
        let checks = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let secret = token_with_path(file.path().to_str().unwrap());
            (
                check_trusted(file.path()).err(),
                secret.err().unwrap_or_default(),
            )
        };
        for mode in [0o400, 0o440, 0o600, 0o660] {
            assert_eq!(checks(mode), (None, String::new()), "{mode:o}");
        }
        for mode in [0o444, 0o644] {
            let (trusted, secret) = checks(mode);
            assert_eq!(trusted, None, "{mode:o}");
            assert!(secret.contains("every user can read the file"), "{mode:o}");
        }
        for mode in [0o602, 0o666] {
            let (trusted, secret) = checks(mode);
            let trusted = trusted.unwrap();
            assert!(
                trusted.contains("every user can write the file"),
                "{mode:o}"
            );
            assert_eq!(trusted, secret);
        }
    }
}
