//! Log lines to standard error, as text or as JSON.

use std::{
    backtrace::Backtrace,
    io::{self, IsTerminal as _},
    panic,
    sync::OnceLock,
};

use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::Targets, fmt, registry::LookupSpan};

use super::lines::Lines;

/// The writer of log lines, after the start.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The layer that writes the log lines of these targets.
///
/// # Errors
///
/// If the system has no more threads.
pub(super) fn layer<S>(
    targets: Targets,
    format: Format,
) -> io::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = Lines::to(io::stderr())?;
    let _ = LINES.set(lines.clone());
    let layer = fmt::layer()
        .with_writer(move || lines.clone())
        .with_ansi(format == Format::Text && io::stderr().is_terminal());
    Ok(match format {
        Format::Text => layer.with_filter(targets).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_filter(targets)
            .boxed(),
    })
}

/// Makes a log line of every panic, with its backtrace.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(%backtrace, "{panic}");
        flush();
    }));
}

/// Writes the lines that were gathered so far: the end of the process would lose them.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush_all();
    }
}
