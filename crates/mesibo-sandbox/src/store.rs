//! Files: the data file, the seed, and the fault rules.

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

/// Reads a JSON file; `None` if there is no file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let size = match std::fs::metadata(path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(path, &error)),
    };
    if size > MAX_FILE {
        return Err(named(path, &format!("larger than {MAX_FILE} bytes")));
    }
    let text = std::fs::read(path).map_err(|error| named(path, &error))?;
    let value = serde_json::from_slice(&text).map_err(|error| named(path, &error))?;
    Ok(Some(value))
}

/// An error that says which file it is about.
pub(crate) fn named(path: &Path, error: &impl ToString) -> io::Error {
    let path = path.display();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path}: {}", error.to_string()),
    )
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
                    let error = named(&path, &error);
                    tracing::error!(%error, "sandbox could not keep its data");
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

/// Makes sure that a file can be replaced: its folder is there, and can be written to.
pub(crate) fn check_folder(path: &Path) -> io::Result<()> {
    NamedTempFile::new_in(folder(path)).map(drop)
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
    std::fs::File::open(folder)?.sync_all()
}
