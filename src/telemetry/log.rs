//! Log lines to standard error, as text or as JSON.
//!
//! The layer is our own in the place of tracing-subscriber's, which does not quote what is
//! shown by `Display`, has the fields of a span twice in JSON, and takes two to three times
//! as long (4 µs for the line of a call, and 7 in JSON, instead of 2).

use std::{
    backtrace::Backtrace,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _, Write as _},
    panic,
    sync::OnceLock,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, Scope},
};

use super::{
    line::{Format, Line},
    lines::{self, Lines, Sink, write_rest},
};

/// How many bytes of lines are gathered while others are written.
const LIMIT: usize = 1 << 20;

/// How long the end of the process, or a panic, waits for the lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The field of a span that has the id of a call.
const REQUEST_ID: &str = "request_id";

/// The log, after the start.
static STARTED: OnceLock<Log> = OnceLock::new();

/// Makes a line of every event. Of spans it has the id of the call alone.
#[derive(Clone)]
struct Log {
    lines: Lines,
    format: Format,
    is_coloured: bool,
}

/// The id of a call, as its span keeps it.
struct RequestId(String);

/// Finds the id of a call among the fields of a span.
#[derive(Default)]
struct FindRequestId(Option<RequestId>);

/// Adds the fields of an event to a line.
struct Fields<'a> {
    line: &'a mut Line,
    /// What a value looks like, for a moment.
    value: String,
}

/// Standard error, for the log.
struct Stderr(Format);

/// The layer that writes log lines.
///
/// # Errors
///
/// If the system has no more threads.
pub(super) fn layer<S>(format: Format) -> io::Result<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let log = Log {
        lines: Lines::start("log", LIMIT, Stderr(format))?,
        format,
        is_coloured: format == Format::Text && io::stderr().is_terminal(),
    };
    let _ = STARTED.set(log.clone());
    Ok(log)
}

/// Writes a line about a call as an event in its span would. Of an event, tracing gathers the
/// fields, and the span is looked up: this takes half of the time. Whoever calls it asks
/// [`tracing::enabled`] first.
pub(crate) fn write_of_call(
    level: Level,
    target: &str,
    request_id: &str,
    fill: impl FnOnce(&mut Line),
) {
    let Some(log) = STARTED.get() else {
        return;
    };
    let mut line = Line::new(log.format, level, target, Some(request_id));
    fill(&mut line);
    log.push(level, line);
}

/// Makes a log line of every panic, with its backtrace.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(%panic, %backtrace, "a panic, which is a defect");
        flush();
    }));
}

/// How many log lines were dropped, for standard error did not take them.
pub(super) fn dropped() -> Counter {
    STARTED
        .get()
        .map(|log| log.lines.dropped())
        .unwrap_or_default()
}

/// Waits until the lines of the log and the audit that were gathered so far are written,
/// for half a second at the most: the end of the process would lose them.
pub fn flush() {
    lines::flush(FLUSH_TIMEOUT);
}

/// Says why the program ends, a line for each of `failures`: as lines of the log in JSON,
/// and for people in text. The format is that of the log, or, before its start, `format`.
/// It waits for standard error for half a second at the most.
pub fn say_failure(format: Format, failures: &[String]) {
    let started = STARTED.get();
    let format = started.map_or(format, |log| log.format);
    let line = |failure: &String| match format {
        Format::Text => format!("{}: {failure}\n", env!("CARGO_PKG_NAME")),
        Format::Json => {
            let mut line = Line::new(format, Level::ERROR, env!("CARGO_CRATE_NAME"), None);
            line.message("the program ends").text("error", failure);
            line.end()
        }
    };
    let text: String = failures.iter().map(line).collect();
    if let Some(log) = started {
        log.lines.push(&text);
        flush();
    } else {
        // Nothing of the process holds up standard error by now. Where it is gone, the exit
        // status still says it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Log {
    fn push(&self, level: Level, line: Line) {
        let line = line.end();
        if self.is_coloured {
            self.lines.push(&coloured(level, &line));
        } else {
            self.lines.push(&line);
        }
    }
}

impl<S> Layer<S> for Log
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = FindRequestId::default();
        attributes.record(&mut found);
        if let (Some(id), Some(span)) = (found.0, context.span(id)) {
            span.extensions_mut().insert(id);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut spans = context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::into_iter);
        let call = spans.find(|span| span.extensions().get::<RequestId>().is_some());
        let extensions = call.as_ref().map(|span| span.extensions());
        let id = extensions.as_ref().and_then(|it| it.get::<RequestId>());
        let id = id.map(|RequestId(id)| id.as_str());

        let mut line = Line::new(self.format, *metadata.level(), metadata.target(), id);
        let value = String::new();
        event.record(&mut Fields {
            line: &mut line,
            value,
        });
        self.push(*metadata.level(), line);
    }
}

impl Visit for FindRequestId {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == REQUEST_ID {
            self.0 = Some(RequestId(value.to_owned()));
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.line.message(value),
            name => self.line.text(name, value),
        };
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.line.plain(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.line.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.line.plain(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.value.clear();
        let _ = write!(self.value, "{value:?}");
        match field.name() {
            "message" => self.line.message(&self.value),
            name => self.line.word(name, &self.value),
        };
    }
}

impl Sink for Stderr {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        write_rest(&mut io::stderr().lock(), batch, &mut 0)
    }

    fn retries(&self) -> bool {
        false
    }

    fn notice(&self, dropped: u64) -> String {
        let mut line = Line::new(self.0, Level::WARN, module_path!(), None);
        line.message("log lines were dropped: their reader is too slow")
            .number("lines", dropped);
        line.end()
    }
}

/// A line of the text format for a terminal, with the colour of its level.
fn coloured(level: Level, line: &str) -> String {
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    let level = format!("{level:>5}");
    line.replacen(&level, &format!("\x1b[{colour}m{level}\x1b[0m"), 1)
}
