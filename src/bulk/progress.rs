//! How far it is: a bar on a terminal, and elsewhere a line every ten seconds.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often there is a line.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// How often the bar is drawn, at most, in a second.
const HZ: u8 = 10;

const BAR: &str = "{bar:32} {human_pos} of {human_len} rows, {per_sec}, {eta} to go{msg}";

/// The same for a file whose end is not known.
const SPINNER: &str = "{spinner} {human_pos} rows, {per_sec}{msg}";

/// How far the rows of a file are.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    /// Rows that were done before.
    before: u64,
    begun: Instant,
    done: u64,
    failed: u64,
}

impl Progress {
    /// Shows the first of `total` rows, of which `before` are done.
    pub(super) fn new(total: Option<u64>, before: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(HZ);
            let bar = ProgressBar::with_draw_target(total, target);
            let template = if total.is_some() { BAR } else { SPINNER };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.expect("the template is valid"));
            bar.set_position(before);
            bar.reset_eta();
            bar
        });
        Self {
            bar,
            total,
            before,
            begun: Instant::now(),
            done: 0,
            failed: 0,
        }
    }

    /// A row is done.
    pub(super) fn add(&mut self, is_ok: bool) {
        if !is_ok {
            self.failed += 1;
            if let Some(bar) = &self.bar {
                bar.set_message(format!(", {} not done", self.failed));
            }
        }
        self.add_rows(1);
    }

    /// So many rows are done, well or not.
    pub(super) fn add_rows(&mut self, count: u64) {
        self.done += count;
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
    }

    /// Writes a line, unless there is a bar.
    pub(super) fn line(&self) {
        if self.bar.is_none() {
            super::say(&self.text(self.begun.elapsed()));
        }
    }

    /// Says something beside the bar.
    pub(super) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| super::say(text)),
            None => super::say(text),
        }
    }

    /// Leaves the bar as it is.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn text(&self, elapsed: Duration) -> String {
        let position = self.before + self.done;
        let rate = self.done as f64 / elapsed.as_secs_f64().max(0.001);
        let mut text = match self.total {
            Some(total) => format!("{position} of {total} rows"),
            None => format!("{position} rows"),
        };
        let _ = write!(text, ", {rate:.0} a second");
        if let Some(total) = self.total.filter(|_| rate > 0.0) {
            let seconds = (total.saturating_sub(position) as f64 / rate).ceil();
            let rest = Duration::from_secs(seconds as u64);
            let _ = write!(text, ", {} to go", humantime::format_duration(rest));
        }
        if self.failed > 0 {
            let _ = write!(text, ", {} not done", self.failed);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_many_how_fast_how_long_and_what_failed() {
        let mut progress = Progress {
            bar: None,
            total: Some(100),
            before: 10,
            begun: Instant::now(),
            done: 0,
            failed: 0,
        };
        for number in 0..30 {
            progress.add(number != 7);
        }
        let text = progress.text(Duration::from_secs(3));
        assert_eq!(text, "40 of 100 rows, 10 a second, 6s to go, 1 not done");
        progress.total = None;
        let text = progress.text(Duration::from_secs(3));
        assert_eq!(text, "40 rows, 10 a second, 1 not done");
    }
}
