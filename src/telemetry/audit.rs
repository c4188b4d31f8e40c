//! The audit's own place: standard error, or a file. It has a queue and a thread of its
//! own, so that no flood of log lines takes its room, and nobody waits for a disk.

use std::{
    fmt::Display,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use prometheus_client::registry::Registry;
use rustix::fs::{Access, access};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::{
    line::{Format, Line},
    lines::{Lines, Sink, write_rest},
};

/// The target of the audit's lines.
const TARGET: &str = "mesibo_grpc::audit";

/// How many bytes of lines are gathered while others are written, places for lines to come
/// included.
const LIMIT: usize = 4 << 20;

/// The place of a line to come, in bytes. Few lines are longer, and those go out as well.
const PLACE: usize = 1 << 10;

/// The mode of a file that the audit makes: it tells who does what.
const MODE: u32 = 0o600;

/// Where the audit goes, and what becomes of writes without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditConfig {
    /// Where the lines of the audit go.
    pub to: AuditTo,
    /// What becomes of a write whose line has no place.
    pub on_failure: OnFailure,
}

/// Where the lines of the audit go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditTo {
    /// Standard error, between the lines of the log.
    #[default]
    Stderr,
    /// A file, to whose end they are added. It is opened again on SIGHUP, so that it can be
    /// rotated by renaming it.
    File(PathBuf),
}

/// What becomes of a write whose line in the audit has no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The line is dropped and counted, and the next one says so.
    #[default]
    Drop,
    /// The write is refused before it is sent.
    Refuse,
}

/// The audit. Clones share it.
#[derive(Clone)]
pub struct AuditLog {
    lines: Lines,
    format: Format,
    on_failure: OnFailure,
    /// Says that the file is to be opened again, if there is one.
    reopen: Option<Arc<AtomicBool>>,
}

/// The place of a line that is still to come.
pub struct Place {
    audit: AuditLog,
    is_reserved: bool,
}

struct AuditSink {
    out: Out,
    /// How much of the batch that failed last was written.
    written: usize,
    is_failing: bool,
    format: Format,
    on_failure: OnFailure,
}

enum Out {
    Stderr,
    File {
        file: File,
        path: PathBuf,
        reopen: Arc<AtomicBool>,
    },
}

impl AuditLog {
    /// Starts the audit, whose lines have this format.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or the system has no more threads.
    pub fn start(config: AuditConfig, format: Format) -> Result<Self, String> {
        let AuditConfig { to, on_failure } = config;
        let (out, reopen) = match to {
            AuditTo::Stderr => (Out::Stderr, None),
            AuditTo::File(path) => {
                let file = open(&path)
                    .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
                let reopen = Arc::new(AtomicBool::new(false));
                let again = Arc::clone(&reopen);
                (Out::File { file, path, reopen }, Some(again))
            }
        };
        let sink = AuditSink {
            out,
            written: 0,
            is_failing: false,
            format,
            on_failure,
        };
        let lines = Lines::start("audit", LIMIT, sink)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self {
            lines,
            format,
            on_failure,
            reopen,
        })
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "audit_lines_dropped",
            "Lines of the audit that were dropped, for they could not be written",
            self.lines.dropped(),
        );
    }

    /// Opens the file again at every SIGHUP, if the audit goes to one.
    ///
    /// # Errors
    ///
    /// If the signal cannot be waited for.
    pub async fn reopen_on_hangup(self) -> io::Result<()> {
        let Some(reopen) = &self.reopen else {
            return Ok(());
        };
        let mut hangups = signal(SignalKind::hangup())?;
        while hangups.recv().await.is_some() {
            reopen.store(true, Ordering::Relaxed);
            self.lines.wake();
        }
        Ok(())
    }

    /// Begins a line about the call with this id.
    pub(crate) fn line(&self, request_id: Option<&str>) -> Line {
        let mut line = Line::new(self.format, Level::INFO, TARGET, request_id);
        line.message("audit");
        line
    }

    /// Adds a line, or drops it if there is no room.
    pub(crate) fn write(&self, line: Line) {
        self.lines.push(&line.end());
    }

    /// The place of a line that is still to come. `None` if what it is about must not
    /// happen without one.
    pub(crate) fn place(&self) -> Option<Place> {
        let is_reserved = self.on_failure == OnFailure::Refuse;
        if is_reserved && !self.lines.reserve(PLACE) {
            return None;
        }
        Some(Place {
            audit: self.clone(),
            is_reserved,
        })
    }
}

impl Place {
    /// The audit that the place is in.
    pub(crate) fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Adds the line.
    pub(crate) fn write(mut self, line: Line) {
        if self.is_reserved {
            self.is_reserved = false;
            let line = line.end();
            self.audit.lines.push_reserved(Some(&line), PLACE);
        } else {
            self.audit.write(line);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_reserved {
            self.audit.lines.push_reserved(None, PLACE);
        }
    }
}

impl Sink for AuditSink {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let written = &mut self.written;
        let result = match &mut self.out {
            Out::Stderr => write_rest(&mut io::stderr().lock(), batch, written),
            Out::File { file, path, reopen } => {
                if reopen.swap(false, Ordering::Relaxed) {
                    match open(path) {
                        Ok(opened) => {
                            *file = opened;
                            // A line that the end of the old file cut is written whole.
                            let cut = batch[..*written].iter().rposition(|&byte| byte == b'\n');
                            *written = cut.map_or(0, |end| end + 1);
                            tracing::info!(file = %path.display(), "the audit was opened again");
                        }
                        Err(error) => tracing::error!(
                            %error,
                            file = %path.display(),
                            "the audit cannot be opened again: it stays in the file that is open"
                        ),
                    }
                }
                write_rest(file, batch, written)
            }
        };
        if self.is_failing != result.is_err() {
            self.is_failing = result.is_err();
            match &result {
                Ok(()) => tracing::info!("the audit is written again"),
                Err(error) => {
                    let on_failure = self.on_failure.name();
                    tracing::error!(%error, on_failure, "the audit cannot be written");
                }
            }
        }
        result
    }

    fn retries(&self) -> bool {
        true
    }

    fn notice(&self, dropped: u64) -> String {
        let mut line = Line::new(self.format, Level::WARN, TARGET, None);
        line.message("audit lines were dropped: they could not be written in time")
            .number("lines", dropped);
        line.end()
    }
}

impl OnFailure {
    /// The name, as the setting has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Refuse => "refuse",
        }
    }
}

/// Checks that the audit can be written, without making its file, and says where it goes.
///
/// # Errors
///
/// If the file cannot be written, or could not be made.
pub fn probe(to: &AuditTo) -> Result<String, String> {
    let AuditTo::File(path) = to else {
        return Ok("standard error".into());
    };
    let wrong = |error: &dyn Display| format!("cannot write to {}: {error}", path.display());
    if path.exists() {
        check_kind(path).map_err(|error| wrong(&error))?;
        access(path, Access::WRITE_OK).map_err(|error| wrong(&error))?;
        return Ok(format!("{} can be written", path.display()));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    access(folder, Access::WRITE_OK).map_err(|error| wrong(&error))?;
    Ok(format!("{} can be made", path.display()))
}

/// Opens a file to add to its end.
fn open(path: &Path) -> io::Result<File> {
    check_kind(path)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

/// Refuses a pipe and a socket: an open of one waits for a reader.
fn check_kind(path: &Path) -> io::Result<()> {
    if let Ok(metadata) = path.metadata()
        && (metadata.file_type().is_fifo() || metadata.file_type().is_socket())
    {
        let text = "expected a file, not a pipe or a socket";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}
