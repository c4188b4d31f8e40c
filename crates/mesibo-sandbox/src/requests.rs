//! The log of the most recent requests, bounded in number and bytes.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Moment;
use crate::wire::{Dialect, Params};

/// The text that replaces a token.
pub(crate) const MASK: &str = "***";

/// The most bytes that are kept of a parameter's value, or of a reply.
const MAX_TEXT: usize = 4 * 1024;

/// The most parameters that are kept of a request.
const MAX_PAIRS: usize = 100;

/// What a record takes besides its texts, in bytes; an estimate.
const OVERHEAD: usize = 512;

/// One request to the backend API, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// When the request came, by the clock of the machine.
    pub(crate) time: Moment,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) op: String,
    /// The parameters as they came, with tokens masked.
    pub(crate) form: Vec<(String, String)>,
    pub(crate) outcome: Outcome,
    /// The HTTP status; none if the connection was closed without one.
    pub(crate) status: Option<u16>,
    /// The error code of the reply.
    pub(crate) error: Option<String>,
    /// The parameter that is the reason for the error.
    pub(crate) parameter: Option<&'static str>,
    /// Parameters that the operation does not know.
    pub(crate) ignored: Vec<String>,
    pub(crate) reply: Option<String>,
    pub(crate) duration_ms: f64,
    pub(crate) fault: Option<Hit>,
    /// The ids of what the request made or named, for links.
    #[serde(flatten)]
    pub(crate) ids: Ids,
    pub(crate) addresses: Vec<String>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Carried out, and answered so, unless a fault spoiled the answer.
    Done,
    /// Not carried out, for the reason in `error`.
    Refused,
    /// Not carried out, because of a fault.
    Faulted,
    /// Not carried out, because the client closed the connection first.
    Abandoned,
    /// Not readable as a request: too large, too slow, or with another method.
    Rejected,
}

/// The fault that hit a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hit {
    /// The id of the rule; none for a magic address.
    pub(crate) rule: Option<String>,
    pub(crate) effect: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Ids {
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mid: Option<u64>,
}

/// The records of a world, the oldest first.
pub(crate) struct RequestLog {
    records: VecDeque<Record>,
    next: u64,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

impl Outcome {
    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
            Self::Abandoned => "abandoned",
            Self::Rejected => "rejected",
        }
    }
}

impl Record {
    /// What a search looks through.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let form = self.form.iter();
        let form = form.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let effect = self.fault.as_ref().map(|hit| hit.effect.as_str());
        let rest = [Some(self.path.as_str()), self.reply.as_deref(), effect];
        form.chain(rest.into_iter().flatten())
    }

    fn size(&self) -> usize {
        let form = self
            .form
            .iter()
            .map(|(name, value)| name.len() + value.len() + 48);
        let ignored = self.ignored.iter().map(String::len);
        let addresses = self.addresses.iter().map(|address| address.len() + 24);
        let texts: usize = form.chain(ignored).chain(addresses).sum();
        OVERHEAD + texts + self.op.len() + self.reply.as_ref().map_or(0, String::len)
    }
}

impl RequestLog {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            records: VecDeque::new(),
            next: 1,
            bytes: 0,
            max_records,
            max_bytes,
        }
    }

    /// Keeps a record, under the next id, and drops the oldest ones that are too many.
    pub(crate) fn push(&mut self, mut record: Record) {
        record.id = self.next;
        self.next += 1;
        self.bytes += record.size();
        self.records.push_back(record);
        while self.records.len() > self.max_records || self.bytes > self.max_bytes {
            let Some(oldest) = self.records.pop_front() else {
                return;
            };
            self.bytes -= oldest.size();
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Record> {
        let index = self.records.binary_search_by_key(&id, |record| record.id);
        index.ok().and_then(|index| self.records.get(index))
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let index = self.records.binary_search_by_key(&id, |record| record.id);
        let removed = index.ok().and_then(|index| self.records.remove(index));
        self.bytes -= removed.as_ref().map_or(0, Record::size);
        removed.is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

/// The parameters as the log keeps them: without tokens, and not at full length.
pub(crate) fn masked(params: &Params) -> Vec<(String, String)> {
    let pairs = params.pairs();
    let is_token = |name: &str| name.eq_ignore_ascii_case("token");
    let tokens: Vec<&str> = pairs
        .iter()
        .filter(|(name, value)| is_token(name) && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .collect();
    let kept = pairs.iter().take(MAX_PAIRS).map(|(name, value)| {
        let secret = is_token(name) || tokens.contains(&value.as_str());
        let value = if secret && !value.is_empty() {
            MASK.to_owned()
        } else {
            excerpt(value)
        };
        (excerpt(name), value)
    });
    kept.collect()
}

/// The beginning of a text, with a note of what is left out.
pub(crate) fn excerpt(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(MAX_TEXT);
    format!("{}… ({} bytes in all)", &text[..kept], text.len())
}

impl Ids {
    /// The ids that a request names, and those that its reply has.
    pub(crate) fn read(params: &Params, reply: Option<&Value>) -> Self {
        let number = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        };
        let made = |path: &str| reply.and_then(|reply| reply.pointer(path)).and_then(number);
        let named = |name: &'static str| {
            let pair = params.pairs().iter().rev().find(|(other, _)| other == name);
            pair.and_then(|(_, value)| value.parse().ok())
        };
        Self {
            uid: made("/user/uid").or_else(|| named("uid")),
            gid: made("/group/gid").or_else(|| named("gid")),
            mid: made("/mid"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reply: &str) -> Record {
        Record {
            id: 0,
            time: Moment::now(),
            method: "POST".to_owned(),
            path: "/api.php".to_owned(),
            dialect: None,
            op: String::new(),
            form: Vec::new(),
            outcome: Outcome::Done,
            status: Some(200),
            error: None,
            parameter: None,
            ignored: Vec::new(),
            reply: Some(reply.to_owned()),
            duration_ms: 0.0,
            fault: None,
            ids: Ids::default(),
            addresses: Vec::new(),
        }
    }

    fn ids(log: &RequestLog) -> Vec<u64> {
        log.iter().map(|record| record.id).collect()
    }

    #[test]
    fn the_oldest_records_are_dropped_when_there_are_too_many() {
        let mut log = RequestLog::new(2, usize::MAX);
        for _ in 0..4 {
            log.push(record(""));
        }
        assert_eq!(ids(&log), [3, 4]);
        assert!(log.get(2).is_none() && log.get(3).is_some());
        assert!(log.remove(3) && !log.remove(3));
        assert_eq!(ids(&log), [4]);
    }

    #[test]
    fn the_oldest_records_are_dropped_when_they_take_too_much() {
        let mut log = RequestLog::new(usize::MAX, 3 * OVERHEAD);
        for _ in 0..3 {
            log.push(record(""));
        }
        log.push(record(&"x".repeat(OVERHEAD + 1)));
        assert_eq!(ids(&log), [4]);
        log.push(record(&"x".repeat(4 * OVERHEAD)));
        assert_eq!(ids(&log), [] as [u64; 0]);
        assert_eq!(log.bytes, 0);
    }

    #[test]
    fn a_token_is_masked_wherever_it_stands() {
        let pairs = [
            ("token", "secret"),
            ("op", "secret"),
            ("Token", "other"),
            ("msg", "hi"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let values: Vec<_> = masked(&Params::new(pairs))
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, [MASK, MASK, MASK, "hi"]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(MAX_TEXT);
        let kept = excerpt(&text);
        assert!(kept.len() < MAX_TEXT + 40, "{}", kept.len());
        assert!(kept.ends_with("(8192 bytes in all)"), "{kept}");
    }
}
