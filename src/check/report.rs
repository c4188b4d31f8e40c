//! What a check found.

use std::fmt::{self, Display};

use serde_json::json;

/// What was found about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing is wrong.
    Ok,
    /// `serve` starts, and does what nobody can want.
    Warning,
    /// Something does not answer, which may pass.
    Unavailable,
    /// `serve` does not start, or Mesibo does not serve the app, until somebody mends it.
    Wrong,
}

/// All that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    outcome: Outcome,
    /// The setting, or the table of the settings file.
    name: String,
    text: String,
}

impl Outcome {
    /// The word of a line: what is unavailable and what is wrong are both failures.
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unavailable | Self::Wrong => "failure",
        }
    }
}

impl Report {
    /// Adds what was found about a setting, a table, or another thing with a name.
    pub(super) fn add(&mut self, outcome: Outcome, name: impl Display, text: impl Display) {
        self.0.push(Finding {
            outcome,
            name: name.to_string(),
            text: text.to_string(),
        });
    }

    /// The same, from a line that begins with the name.
    pub(super) fn add_line(&mut self, outcome: Outcome, line: &str) {
        let (name, text) = line.split_once(": ").unwrap_or(("settings", line));
        self.add(outcome, name, text);
    }

    /// The exit status: 0 without a failure, 1 if something does not answer, 2 if something
    /// is wrong.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.worst() {
            Outcome::Ok | Outcome::Warning => 0,
            Outcome::Unavailable => 1,
            Outcome::Wrong => 2,
        }
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let findings = self.0.iter().map(|finding| {
            json!({
                "outcome": finding.outcome.word(),
                "name": finding.name,
                "text": finding.text,
            })
        });
        let report = json!({
            "outcome": self.worst().word(),
            "exit_status": self.exit_status(),
            "findings": findings.collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }

    fn worst(&self) -> Outcome {
        let outcomes = self.0.iter().map(|finding| finding.outcome);
        outcomes.max().unwrap_or(Outcome::Ok)
    }

    fn count(&self, word: &str) -> usize {
        let of_it = self
            .0
            .iter()
            .filter(|finding| finding.outcome.word() == word);
        of_it.count()
    }
}

impl Display for Report {
    /// A line for each finding, and the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding {
            outcome,
            name,
            text,
        } in &self.0
        {
            writeln!(f, "{:<8} {name}: {text}", outcome.word())?;
        }
        let (failures, warnings) = (self.count("failure"), self.count("warning"));
        writeln!(f, "failures: {failures}, warnings: {warnings}")
    }
}
