//! Files: the data file, the seed, and the fault rules.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::clock::Moment;
use crate::hub::Hub;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(200);

/// The largest file that is read.
const MAX_FILE: u64 = 1024 * 1024 * 1024;

/// A JSON file, by what it is for and its path.
pub(crate) struct File<'a> {
    role: &'static str,
    path: &'a Path,
}

impl<'a> File<'a> {
    pub(crate) fn new(role: &'static str, path: &'a Path) -> Self {
        Self { role, path }
    }

    /// Reads it; `None` if there is no file.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let size = match fs::metadata(self.path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(&error)),
        };
        if size > MAX_FILE {
            return Err(self.wrong(&format!("larger than {MAX_FILE} bytes")));
        }
        let text = fs::read(self.path).map_err(|error| self.wrong(&error))?;
        let value = serde_json::from_slice(&text).map_err(|error| self.wrong(&error))?;
        Ok(Some(value))
    }

    /// Makes sure that it can be replaced: its folder is there, and can be written to.
    pub(crate) fn check_folder(&self) -> io::Result<()> {
        let probe = NamedTempFile::new_in(folder(self.path));
        probe.map(drop).map_err(|error| self.wrong(&error))
    }

    /// The error that there is no such file.
    pub(crate) fn missing(&self) -> io::Error {
        self.wrong(&"no such file")
    }

    /// An error about it.
    pub(crate) fn wrong(&self, error: &impl Display) -> io::Error {
        let Self { role, path } = self;
        let path = path.display();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{role} file {path}: {error}"),
        )
    }
}

/// Writes the state to a file whenever it changed, until the hub stops, and then once
/// more.
pub(crate) async fn keep(hub: Arc<Hub>, path: PathBuf) {
    let mut watch = hub.watch();
    let mut written = None;
    loop {
        let stopping = hub.stopping.is_cancelled();
        let version = hub.with(|state| state.worlds.version());
        if written.as_ref() != Some(&version) {
            match write_state(&hub, &path).await {
                Ok(()) => written = Some(version),
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "sandbox could not keep its data");
                }
            }
        }
        if stopping {
            return;
        }
        tokio::select! {
            _ = watch.changed() => {}
            () = hub.stopping.cancelled() => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

async fn write_state(hub: &Hub, path: &Path) -> io::Result<()> {
    let text = hub
        .with(|state| state.snapshot(None, Moment::now()))
        .to_string();
    let path = path.to_owned();
    let writing = tokio::task::spawn_blocking(move || replace(&path, text.as_bytes()));
    writing.await.map_err(io::Error::other)?
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Replaces a file by another that is on the disk already, so that a crash at any moment
/// leaves one of the two, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder(path);
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name is on the disk when the folder is.
    fs::File::open(folder)?.sync_all()
}
