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

/// A call as its client saw it, with what it was told.
#[derive(Clone, Debug)]
pub struct Call {
    /// When the client made it, and when it had the answer, in microseconds of this machine's
    /// clock.
    pub begun: u64,
    pub ended: u64,
    pub answer: Answer,
    /// Whether the answer had been given before.
    pub is_replayed: bool,
}

/// What the clients were told of all.
#[derive(Debug, Default)]
pub struct Record {
    calls: BTreeMap<u64, Vec<Call>>,
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

impl Call {
    /// What was told of it, for a count of such calls.
    fn kind(&self) -> String {
        let kind = match &self.answer {
            Answer::Sent(_) => "sent",
            Answer::Refused => "refused",
            Answer::Unknown => "unknown",
            Answer::Undecided(reason) => &format!("undecided: {reason}"),
        };
        let replayed = if self.is_replayed { ", replayed" } else { "" };
        format!("{kind}{replayed}")
    }

    /// Whether it may not have been told so of this number, whatever else was.
    fn is_wrong_about(&self, number: u64) -> bool {
        match &self.answer {
            Answer::Sent(id) => *id != number,
            Answer::Refused | Answer::Unknown => false,
            Answer::Undecided(reason) => !UNDECIDED.contains(&reason.as_str()),
        }
    }

    /// Whether both cannot have been told so.
    ///
    /// What was refused may be tried again, by another client, too: the refusal of a call that
    /// was made before its number was settled can be read after that.
    fn contradicts(&self, other: &Self) -> bool {
        match (&self.answer, &other.answer) {
            (Answer::Sent(_), Answer::Unknown) => self.ended > other.ended,
            (Answer::Refused, Answer::Sent(_) | Answer::Unknown) => self.begun > other.ended,
            _ => false,
        }
    }
}

impl Record {
    /// A number is given to both clients.
    pub fn begin(&mut self, number: u64) {
        self.calls.entry(number).or_default();
    }

    /// How many numbers have no end for both clients, about.
    pub fn open(&self) -> usize {
        self.calls.len() - self.ended / 2
    }

    /// The numbers.
    pub fn numbers(&self) -> Vec<u64> {
        self.calls.keys().copied().collect()
    }

    /// The first numbers of which nothing definite was told.
    pub fn undecided(&self) -> Vec<u64> {
        let is_undecided = |call: &Call| matches!(call.answer, Answer::Undecided(_));
        let undecided = self
            .calls
            .iter()
            .filter(|(_, calls)| calls.iter().all(is_undecided));
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
        let (answer, is_replayed) = Answer::read(&words[3..]);
        self.take(
            number,
            Call {
                begun: words[1].parse().unwrap(),
                ended: words[2].parse().unwrap(),
                answer,
                is_replayed,
            },
        );
    }

    /// Takes in a call that has its answer.
    pub fn take(&mut self, number: u64, call: Call) {
        *self.answers.entry(call.kind()).or_default() += 1;
        self.calls.entry(number).or_default().push(call);
    }

    /// The numbers whose outcome was told, and is unknown all the same: their server ended
    /// before it could write the outcome.
    pub fn forgotten(&self) -> usize {
        let calls = self.calls.values();
        calls.filter(|it| is_sent(it) && is_unknown(it)).count()
    }

    /// How many numbers have been sent as far as anybody knows, and of how many that is
    /// unknown.
    pub fn counts(&self) -> (usize, usize) {
        let calls = self.calls.values();
        let sent = calls.clone().filter(|it| is_sent(it)).count();
        (sent, calls.filter(|it| is_unknown(it)).count())
    }

    /// What is wrong with the answers, in the light of what the backend carried out.
    pub fn judge(&self, faults: &Faults) -> Verdict {
        let mut verdict = Verdict {
            contradictions: self.contradictions.clone(),
            undecided: self.undecided(),
            ..Verdict::default()
        };
        for (&number, calls) in &self.calls {
            let fates = faults.fates(&number.to_string());
            let sent = fates.iter().filter(|&&fate| fate == Fate::Done).count();
            if sent > 1 {
                verdict.sent_twice.push(number);
            }
            let is_refused = calls.iter().any(|call| call.answer == Answer::Refused);
            let is_untrue =
                is_sent(calls) && sent == 0 || is_refused && !fates.contains(&Fate::Refused);
            if is_untrue || is_contradictory(number, calls) {
                let wrong = format!("{number}: {calls:?}, and it was {fates:?}");
                verdict.contradictions.push(wrong);
            }
        }
        verdict
    }
}

fn is_sent(calls: &[Call]) -> bool {
    let mut calls = calls.iter();
    calls.any(|call| matches!(call.answer, Answer::Sent(_)))
}

fn is_unknown(calls: &[Call]) -> bool {
    calls.iter().any(|call| call.answer == Answer::Unknown)
}

/// Whether what was told of a number cannot be true together.
fn is_contradictory(number: u64, calls: &[Call]) -> bool {
    calls.iter().any(|call| {
        call.is_wrong_about(number) || calls.iter().any(|other| call.contradicts(other))
    })
}

#[test]
fn what_was_told_of_a_number_is_contradictory_when_no_order_of_the_calls_explains_it() {
    let call = |begun, ended, answer| Call {
        begun,
        ended,
        answer,
        is_replayed: false,
    };
    let is_contradictory = |one: (u64, u64, Answer), other: (u64, u64, Answer)| {
        let calls = [one, other].map(|(begun, ended, answer)| call(begun, ended, answer));
        is_contradictory(7, &calls)
    };
    let refused_and_tried_again = (1, 4, Answer::Refused);
    let forgotten = (1, 2, Answer::Sent(7));
    let unknown = (2, 3, Answer::Unknown);
    assert!(!is_contradictory(unknown.clone(), refused_and_tried_again));
    assert!(!is_contradictory(unknown.clone(), forgotten));

    assert!(is_contradictory(unknown.clone(), (4, 5, Answer::Refused)));
    assert!(is_contradictory(
        (1, 2, Answer::Sent(7)),
        (3, 4, Answer::Refused)
    ));
    assert!(is_contradictory(unknown.clone(), (1, 4, Answer::Sent(7))));
    assert!(is_contradictory(unknown.clone(), (4, 5, Answer::Sent(8))));
    let undecided = Answer::Undecided("NOT_SO".into());
    assert!(is_contradictory(unknown, (4, 5, undecided)));
}
