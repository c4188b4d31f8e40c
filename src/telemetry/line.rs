//! One line of the log or of the audit, as text or as JSON.
//!
//! Both formats have the same fields, each once, in the same order; every text from
//! outside is within quotes. In JSON, a line has the keys `timestamp`, `level`, `target`,
//! `request_id` if it is about a call, and `message`, and then those of its fields.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::format_rfc3339_seconds;
use tracing::Level;

use super::escape::{is_bare, is_plain, quote};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The keys that begin a JSON line. A field of an event that has one of these names gets
/// an underscore behind it.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "request_id"];

/// A line in the making.
pub struct Line {
    text: String,
    format: Format,
}

impl Line {
    /// Begins a line. `request_id` is the id of the call that it is about.
    pub(crate) fn new(
        format: Format,
        level: Level,
        target: &str,
        request_id: Option<&str>,
    ) -> Self {
        // Few lines are longer.
        let mut text = String::with_capacity(512);
        match format {
            Format::Text => {
                write_now(&mut text);
                let _ = write!(text, " {level:>5} ");
                if let Some(id) = request_id {
                    text.push_str("call{request_id=");
                    quote(&mut text, id);
                    text.push_str("}: ");
                }
                text.push_str(target);
                text.push(':');
            }
            Format::Json => {
                text.push_str(r#"{"timestamp":""#);
                write_now(&mut text);
                let _ = write!(text, r#"","level":"{level}","target":"#);
                quote(&mut text, target);
                if let Some(id) = request_id {
                    text.push_str(r#","request_id":"#);
                    quote(&mut text, id);
                }
            }
        }
        Self { text, format }
    }

    /// Adds what happened. In the text format it has no name.
    pub fn message(&mut self, message: &str) -> &mut Self {
        match self.format {
            Format::Text if is_plain(message) => {
                self.text.push(' ');
                self.text.push_str(message);
            }
            Format::Text => {
                self.text.push(' ');
                quote(&mut self.text, message);
            }
            Format::Json => {
                self.text.push_str(r#","message":"#);
                quote(&mut self.text, message);
            }
        }
        self
    }

    /// Adds a text, always in quotes.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    /// Adds a text, if there is one.
    pub fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// Adds what is mostly one word. In the text format it has no quotes if it needs none.
    pub fn word(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        if self.format == Format::Text && is_bare(value) {
            self.text.push_str(value);
        } else {
            quote(&mut self.text, value);
        }
        self
    }

    /// Adds what has a textual form. In the text format it has no quotes if it needs none.
    pub fn display(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        self.name(name);
        let start = self.text.len();
        let _ = write!(self.text, "{value}");
        if self.format == Format::Json || !is_bare(&self.text[start..]) {
            let value = self.text.split_off(start);
            quote(&mut self.text, &value);
        }
        self
    }

    /// Adds a number or a truth value, which both formats write alike.
    pub(super) fn plain(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.plain(name, value)
    }

    /// Ends the line, and gives it with its line feed.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::Json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text
    }

    /// Names of fields are those of the program's own source.
    fn name(&mut self, name: &str) {
        match self.format {
            Format::Text => {
                self.text.push(' ');
                self.text.push_str(name);
                self.text.push('=');
            }
            Format::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                if RESERVED.contains(&name) {
                    self.text.push('_');
                }
                self.text.push_str("\":");
            }
        }
    }
}

/// Writes the time, by RFC 3339, in UTC and with microseconds.
fn write_now(text: &mut String) {
    const EPOCH: [u8; 19] = *b"1970-01-01T00:00:00";
    thread_local! {
        /// A second, and its text: most lines are of the same second as the one before.
        static SECOND: Cell<(u64, [u8; 19])> = const { Cell::new((0, EPOCH)) };
    }
    let now = SystemTime::now();
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (second, mut shown) = SECOND.get();
    if second != now.as_secs() {
        let time = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let time = format_rfc3339_seconds(time).to_string();
        shown.copy_from_slice(&time.as_bytes()[..EPOCH.len()]);
        SECOND.set((now.as_secs(), shown));
    }
    text.push_str(str::from_utf8(&shown).unwrap_or_default());
    let mut fraction = *b".000000Z";
    let mut rest = now.subsec_micros();
    for digit in fraction[1..7].iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    text.push_str(str::from_utf8(&fraction).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format) -> String {
        let mut line = Line::new(format, Level::INFO, "room", Some("id-1"));
        line.message("call")
            .text("caller", "a\"b")
            .display("peer", "127.0.0.1:1")
            .display("error", "a b=\u{202e}")
            .number("n", 7);
        line.end()
    }

    #[test]
    fn a_line_has_its_fields_in_their_order_in_both_formats() {
        let text = line(Format::Text);
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!((time.len(), time.as_bytes()[26]), (27, b'Z'), "{time}");
        assert_eq!(
            rest,
            " INFO call{request_id=\"id-1\"}: room: call caller=\"a\\\"b\" peer=127.0.0.1:1 \
             error=\"a b=\\u202e\" n=7\n"
        );
        let json = line(Format::Json);
        let (_, rest) = json.split_once("Z\",").unwrap();
        assert_eq!(
            rest,
            "\"level\":\"INFO\",\"target\":\"room\",\"request_id\":\"id-1\",\"message\":\"call\",\
             \"caller\":\"a\\\"b\",\"peer\":\"127.0.0.1:1\",\"error\":\"a b=\\u202e\",\"n\":7}\n"
        );
    }

    #[test]
    fn a_field_does_not_take_the_place_of_a_key_that_every_line_has() {
        let mut line = Line::new(Format::Json, Level::INFO, "room", None);
        line.text("target", "other").text("level", "x");
        let line = line.end();
        assert!(
            line.contains(r#""target":"room","target_":"other","level_":"x"}"#),
            "{line}"
        );
    }
}
