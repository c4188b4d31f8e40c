//! Reads the files that settings name.

use std::{
    fmt,
    fs::{File, FileType, Metadata},
    io::Read as _,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// What a file holds, which may be secret.
pub type Content = Zeroizing<Vec<u8>>;

/// The SHA-256 of what the files of a [`Snapshot`] hold.
pub type Fingerprint = [u8; 32];

/// What files held at one moment.
pub struct Snapshot(Vec<(PathBuf, Result<Content, String>)>);

/// Reads a file.
///
/// # Errors
///
/// If it cannot be read, is no regular file, or has more than [`MAX_BYTES`].
pub fn read(path: &Path) -> Result<Content, String> {
    let unreadable = |error| format!("cannot read the file: {error}");
    // Before the file is opened: opening a FIFO waits for a writer.
    check(&path.metadata().map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check(&metadata)?;
    // With room for everything, so that no copy of a secret is left behind by a move.
    let capacity = usize::try_from(metadata.len()).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(capacity));
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut content);
    read.map_err(unreadable)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(content)
}

/// Says what is wrong with what a file holds, of which `expected` was expected.
pub fn wrong(path: &Path, expected: &str, error: &impl fmt::Display) -> String {
    format!("expected {expected} in {}: {error}", path.display())
}

fn check(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        let kind = describe(metadata.file_type());
        return Err(format!("expected a regular file, and it is {kind}"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> String {
    format!("expected a file of at most {MAX_BYTES} bytes, and it is larger")
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO (a named pipe)"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

impl Snapshot {
    /// Reads files.
    #[must_use]
    pub fn take(files: &[PathBuf]) -> Self {
        let contents = files.iter().map(|file| (file.clone(), read(file)));
        Self(contents.collect())
    }

    /// What a file held.
    ///
    /// # Errors
    ///
    /// If it could not be read, or is not one of the files.
    pub fn content(&self, file: &Path) -> Result<&[u8], String> {
        match self.0.iter().find(|(path, _)| path == file) {
            Some((_, Ok(content))) => Ok(content),
            Some((_, Err(error))) => Err(error.clone()),
            None => Err("the file is not one of those that were read".into()),
        }
    }

    /// A digest of the contents, which may be secret and need not be kept to see a change.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut digest = Context::new(&SHA256);
        for (_, content) in &self.0 {
            // A file that cannot be read differs from every other.
            let content = content.as_ref().ok();
            let length = content.map_or(u64::MAX, |content| content.len() as u64);
            digest.update(&length.to_be_bytes());
            digest.update(content.map_or(&[], |content| content));
        }
        digest
            .finish()
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener, process::Command};

    use super::*;

    #[test]
    fn what_is_no_regular_file_or_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        assert!(
            Command::new("mkfifo")
                .arg(path("fifo"))
                .status()
                .unwrap()
                .success()
        );
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let largest = usize::try_from(MAX_BYTES).unwrap();
        fs::write(path("largest"), vec![b'x'; largest]).unwrap();
        fs::write(path("large"), vec![b'x'; largest + 1]).unwrap();
        for (path, mistake) in [
            (path("fifo"), "it is a FIFO (a named pipe)"),
            (path("socket"), "it is a socket"),
            (path(""), "it is a directory"),
            ("/dev/zero".into(), "it is a device"),
            (path("large"), "at most 1048576 bytes"),
            (path("none"), "cannot read the file: No such file"),
        ] {
            let error = read(&path).unwrap_err();
            assert!(error.contains(mistake), "{error}");
        }
        assert_eq!(read(&path("largest")).unwrap().len(), largest);
    }

    #[test]
    fn a_fingerprint_tells_which_file_holds_what() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["one", "two"].map(|name| directory.path().join(name));
        let mut seen = Vec::new();
        for [one, two] in [["1", "2"], ["12", ""], ["", "12"], ["2", "1"]] {
            fs::write(&files[0], one).unwrap();
            fs::write(&files[1], two).unwrap();
            let snapshot = Snapshot::take(&files);
            assert_eq!(snapshot.content(&files[0]).unwrap(), one.as_bytes());
            seen.push(snapshot.fingerprint());
        }
        fs::write(&files[0], "").unwrap();
        fs::remove_file(&files[1]).unwrap();
        let snapshot = Snapshot::take(&files);
        snapshot.content(&files[1]).unwrap_err();
        seen.push(snapshot.fingerprint());
        for (index, fingerprint) in seen.iter().enumerate() {
            assert!(!seen[..index].contains(fingerprint));
        }
    }
}
