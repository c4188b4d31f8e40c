//! What clients were told of each call, and whether it is true.

use std::collections::BTreeMap;

use mesibo_grpc::proto::SendMessageResponse;
use tonic::{Code, Response, Status};

use crate::{
    faults::backend::{Fate, Faults},
    support::told,
};

/// Reasons of failures after which a call may be repeated, for nothing was decided. Without
/// a reason, the failure is the client's own.
const UNDECIDED: [&str; 7] = [
    "-",
    "DEADLINE_EXCEEDED",
    "OVERLOADED",
    "STORE_UNAVAILABLE",
    "UPSTREAM_DOWN",
    "UPSTREAM_HTTP_STATUS",
    "UPSTREAM_UNREACHABLE",
];

/// An answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message was sent, with this id.
    Sent(u64),
    /// Mesibo said no.
    Refused,
    /// It is not known whether it was sent, and never will be.
    Unknown,
    /// Nothing is decided yet, for this reason.
    Undecided(String),
}

/// What the clients were told of one id, in the order in which they were.
#[derive(Debug, Default)]
struct Told {
    sent: bool,
    refused: bool,
    unknown: bool,
}

/// What the clients were told of all.
#[derive(Debug, Default)]
pub struct Record {
    told: BTreeMap<u64, Told>,
    ended: usize,
    /// How many answers of each kind there were.
    pub answers: BTreeMap<String, usize>,
    pub contradictions: Vec<String>,
}

/// What the record and the backend's own have in common.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub sent_twice: Vec<u64>,
    pub contradictions: Vec<String>,
    pub undecided: Vec<u64>,
}

impl Answer {
    /// Reads what a client printed: see `client.py`.
    fn read(words: &[&str]) -> (Self, bool) {
        let &[code, reason, outcome, mid, replayed] = words else {
            panic!("an answer has five words: {words:?}");
        };
        let is_replayed = replayed == "replayed";
        let answer = match (code, reason, outcome) {
            ("OK", ..) => Self::Sent(mid.parse().unwrap()),
            (_, "NOUSER", _) => Self::Refused,
            // A call that waits for another is told so, too, and may learn more.
            ("DEADLINE_EXCEEDED", _, "unknown") if !is_replayed => {
                Self::Undecided(reason.to_owned())
            }
            (_, _, "unknown") => Self::Unknown,
            _ => Self::Undecided(reason.to_owned()),
        };
        (answer, is_replayed)
    }

    /// The same of the answer to a call of the test's own.
    pub fn of(answer: &Result<Response<SendMessageResponse>, Status>) -> (Self, bool) {
        match answer {
            Ok(sent) => {
                let is_replayed = sent.metadata().contains_key("request-replayed");
                (Self::Sent(sent.get_ref().message_id.unwrap()), is_replayed)
            }
            Err(status) => {
                let (code, _, reason, metadata) = told(status);
                let is_replayed = status.metadata().contains_key("request-replayed");
                let is_unknown = metadata.contains_key("outcome");
                let is_undecided = code == Code::DeadlineExceeded && !is_replayed;
                let answer = match &*reason {
                    "NOUSER" => Self::Refused,
                    _ if is_unknown && !is_undecided => Self::Unknown,
                    _ => Self::Undecided(reason),
                };
                (answer, is_replayed)
            }
        }
    }
}

impl Record {
    /// A number is given to both clients.
    pub fn begin(&mut self, number: u64) {
        self.told.entry(number).or_default();
    }

    /// How many numbers have no end for both clients, about.
    pub fn open(&self) -> usize {
        self.told.len() - self.ended / 2
    }

    /// The numbers.
    pub fn numbers(&self) -> Vec<u64> {
        self.told.keys().copied().collect()
    }

    /// The first numbers of which nothing definite was told.
    pub fn undecided(&self) -> Vec<u64> {
        let undecided = self
            .told
            .iter()
            .filter(|(_, told)| !(told.sent || told.refused || told.unknown));
        undecided.map(|(&number, _)| number).take(20).collect()
    }

    /// Takes in a line that a client printed.
    pub fn take_line(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = words[0].parse().unwrap();
        if words[1..] == ["end"] {
            self.ended += 1;
            return;
        }
        let (answer, is_replayed) = Answer::read(&words[1..]);
        self.take(number, &answer, is_replayed);
    }

    /// Takes in an answer.
    pub fn take(&mut self, number: u64, answer: &Answer, is_replayed: bool) {
        let kind = match answer {
            Answer::Sent(_) => "sent".to_owned(),
            Answer::Refused => "refused".to_owned(),
            Answer::Unknown => "unknown".to_owned(),
            Answer::Undecided(reason) => format!("undecided: {reason}"),
        };
        let kind = if is_replayed {
            kind + ", replayed"
        } else {
            kind
        };
        *self.answers.entry(kind).or_default() += 1;
        let told = self.told.entry(number).or_default();
        let wrong = match answer {
            Answer::Sent(id) => {
                told.sent = true;
                (*id != number)
                    .then(|| format!("sent as {id}"))
                    .or(told.unknown.then(|| "sent, once it was unknown".into()))
            }
            Answer::Refused => {
                told.refused = true;
                told.unknown.then(|| "refused, once it was unknown".into())
            }
            Answer::Unknown => {
                told.unknown = true;
                None
            }
            Answer::Undecided(reason) => {
                (!UNDECIDED.contains(&reason.as_str())).then(|| format!("undecided: {reason}"))
            }
        };
        self.contradictions
            .extend(wrong.map(|wrong| format!("{number}: {wrong}")));
    }

    /// The numbers whose outcome was told, and is unknown all the same: their server ended
    /// before it could write the outcome.
    pub fn forgotten(&self) -> usize {
        let told = self.told.values();
        told.filter(|told| told.sent && told.unknown).count()
    }

    /// How many numbers have been sent as far as anybody knows, and of how many that is
    /// unknown.
    pub fn counts(&self) -> (usize, usize) {
        let told = self.told.values();
        let sent = told.clone().filter(|told| told.sent).count();
        (sent, told.filter(|told| told.unknown).count())
    }

    /// What is wrong with the answers, in the light of what the backend carried out.
    pub fn judge(&self, faults: &Faults) -> Verdict {
        let mut verdict = Verdict {
            contradictions: self.contradictions.clone(),
            undecided: self.undecided(),
            ..Verdict::default()
        };
        for (&number, told) in &self.told {
            let fates = faults.fates(&number.to_string());
            let sent = fates.iter().filter(|&&fate| fate == Fate::Done).count();
            if sent > 1 {
                verdict.sent_twice.push(number);
            }
            if told.sent && sent == 0 || told.refused && !fates.contains(&Fate::Refused) {
                let wrong = format!("{number}: {told:?} is not what happened: {fates:?}");
                verdict.contradictions.push(wrong);
            }
        }
        verdict
    }
}
