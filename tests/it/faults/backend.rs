//! A backend that fails at random, and knows what it really did.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::users::Users;
use crate::support::{
    backend::{Accept, Answer, Backend, Recorded},
    http2::{NO_ERROR, REFUSED_STREAM},
};

/// The reply to what names a user that there is not.
const REFUSAL: &str = r#"{"result": false, "error": "NOUSER"}"#;

/// What became of a request that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was carried out, whatever was answered.
    Done,
    /// It was answered with a no.
    Refused,
    /// It was answered that it was not taken up.
    NotTakenUp,
}

/// The faults of a backend. Clones share them.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    on: AtomicBool,
    random: Mutex<fastrand::Rng>,
    injected: Mutex<BTreeMap<&'static str, usize>>,
    fates: Mutex<HashMap<String, Vec<Fate>>>,
    /// `None` if every user is said to be there.
    users: Option<Mutex<Users>>,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        Self::of(seed, None)
    }

    /// Those of a backend that holds users.
    pub fn with_users(seed: u64) -> Self {
        Self::of(seed, Some(Mutex::default()))
    }

    fn of(seed: u64, users: Option<Mutex<Users>>) -> Self {
        Self(Arc::new(Shared {
            on: AtomicBool::new(true),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            injected: Mutex::default(),
            fates: Mutex::default(),
            users,
        }))
    }

    /// A backend with these faults.
    pub fn backend(&self, address: SocketAddr) -> Backend {
        let (answers, accepts) = (self.clone(), self.clone());
        Backend::faulty(
            address,
            move |request| answers.answer(request),
            move || accepts.accept(),
        )
    }

    /// The same over HTTP/2, with faults of its own.
    pub fn http2_backend(&self, address: SocketAddr) -> Backend {
        let (answers, accepts) = (self.clone(), self.clone());
        Backend::faulty_http2(
            address,
            move |request| answers.answer_over_http2(request),
            move || accepts.accept(),
        )
    }

    /// No more faults.
    pub fn stop(&self) {
        self.0.on.store(false, Ordering::SeqCst);
    }

    /// How many faults of each kind there were.
    pub fn injected(&self) -> BTreeMap<&'static str, usize> {
        self.0.injected.lock().unwrap().clone()
    }

    /// What became of the requests with this key.
    pub fn fates(&self, key: &str) -> Vec<Fate> {
        let fates = self.0.fates.lock().unwrap();
        fates.get(key).cloned().unwrap_or_default()
    }

    /// The uids of the users that the backend holds, by address.
    pub fn users(&self) -> BTreeMap<String, u64> {
        let users = self.0.users.as_ref();
        users.map_or_else(BTreeMap::new, |users| users.lock().unwrap().uids())
    }

    fn accept(&self) -> Accept {
        match self.random(20) {
            0 => self.inject("accept and close", Accept::Close),
            1..=5 => self.inject("reset at the end", Accept::ServeAndReset),
            _ => Accept::Serve,
        }
    }

    fn answer(&self, request: &Recorded) -> Answer {
        if let Some(answer) = self.answer_of_users(request) {
            return answer;
        }
        let good = good(request);
        let (fate, answer) = self.choose(&good);
        let fates = &mut self.0.fates.lock().unwrap();
        fates.entry(key(request)).or_default().push(fate);
        answer
    }

    /// What is done with a request over HTTP/2. A fault that says that a request was not
    /// looked at is true: it is not carried out.
    fn answer_over_http2(&self, request: &Recorded) -> Answer {
        let code = || {
            let other = u32::try_from(self.random(13)).unwrap();
            if other < REFUSED_STREAM {
                other
            } else {
                other + 1
            }
        };
        let pause = || Duration::from_millis(self.random(300));
        match self.random(400) {
            0..=7 => self.inject("RST_STREAM: refused", Answer::Reset(REFUSED_STREAM)),
            8..=15 => {
                self.carry_out(request);
                self.inject("RST_STREAM: another code", Answer::Reset(code()))
            }
            16..=19 => self.inject(
                "GOAWAY: not looked at",
                Answer::GoAway([NO_ERROR, code()][request.form.len() % 2], None),
            ),
            20..=22 => {
                let then = Some(Box::new(self.answer(request)));
                self.inject("GOAWAY: the last one", Answer::GoAway(code(), then))
            }
            23 => {
                self.carry_out(request);
                let then = Some(Box::new(Answer::Close));
                self.inject("GOAWAY, and the end", Answer::GoAway(NO_ERROR, then))
            }
            24 => {
                self.carry_out(request);
                self.inject("the end of the connection", Answer::Close)
            }
            25 => {
                self.carry_out(request);
                self.inject("frames that make no sense", Answer::Garbage)
            }
            26..=28 => {
                let then = Box::new(self.answer(request));
                self.inject("nothing is read", Answer::StopReading(pause(), then))
            }
            _ => self.answer(request),
        }
    }

    /// Carries a request out that is not answered.
    fn carry_out(&self, request: &Recorded) {
        let fates = &mut self.0.fates.lock().unwrap();
        fates.entry(key(request)).or_default().push(Fate::Done);
    }

    /// The answer to an operation on users, if the backend holds any.
    fn answer_of_users(&self, request: &Recorded) -> Option<Answer> {
        let users = &mut *self.0.users.as_ref()?.lock().unwrap();
        match request.get("op")? {
            "usersget" => return Some(Answer::ok(users.list(request))),
            "useradd" | "userset" | "userdel" => {}
            _ => return None,
        }
        let Some(good) = users.reply(request) else {
            return Some(Answer::ok(REFUSAL));
        };
        let (fate, answer) = self.choose(&good);
        if fate == Fate::Done {
            users.carry_out(request);
        }
        Some(answer)
    }

    fn choose(&self, good: &str) -> (Fate, Answer) {
        let whole = || Answer::http(200, &[], good);
        let bytes = || match whole() {
            Answer::Send(bytes) => bytes,
            _ => unreachable!("a response is sent"),
        };
        let head = format!("HTTP/1.1 200 .\r\ncontent-length: {}\r\n\r\n", good.len());
        let half = || bytes()[..head.len() + good.len() / 2].to_vec();
        let millis = |most| Duration::from_millis(self.random(most));

        let done = |fault, answer| (Fate::Done, self.inject(fault, answer));
        match self.random(40) {
            0 => done("close before the answer", Answer::SendAndClose(Vec::new())),
            1 => done("close after the headers", Answer::SendAndClose(head.into())),
            2 => done("close amid the body", Answer::SendAndClose(half())),
            3 => done("no answer", Answer::Hang),
            4 => done("delay", Answer::After(millis(300), Box::new(whole()))),
            5 => done("drip", Answer::Drip(bytes())),
            6 => done("garbage", Answer::ok("<html>\u{0}")),
            7 => done("garbage instead of HTTP", Answer::SendAndClose("\0".into())),
            8 => done(
                "the reply of another request",
                Answer::ok(r#"{"op": "groupdel", "result": true}"#),
            ),
            9 => done("HTTP 502", Answer::http(502, &[], "<html>")),
            10 => {
                let answer = Answer::http(503, &[("retry-after", "0")], "");
                (Fate::NotTakenUp, self.inject("HTTP 503", answer))
            }
            11 => {
                let answer = Answer::http(429, &[], "");
                (Fate::NotTakenUp, self.inject("HTTP 429", answer))
            }
            12 => {
                let answer = Answer::ok(REFUSAL);
                (Fate::Refused, self.inject("refusal", answer))
            }
            13..=18 => done(
                "close while idle",
                Answer::SendAndCloseIdle(bytes(), millis(10)),
            ),
            _ => (Fate::Done, whole()),
        }
    }

    /// A number below `bound`; the highest once there are to be no more faults.
    fn random(&self, bound: u64) -> u64 {
        if self.0.on.load(Ordering::SeqCst) {
            self.0.random.lock().unwrap().u64(..bound)
        } else {
            bound - 1
        }
    }

    fn inject<T>(&self, fault: &'static str, what: T) -> T {
        self.count(fault);
        what
    }

    /// One more fault of a kind.
    pub fn count(&self, fault: &'static str) {
        *self.0.injected.lock().unwrap().entry(fault).or_default() += 1;
    }
}

/// What tells requests apart: the text of a message, or the id of a user.
fn key(request: &Recorded) -> String {
    let key = request.get("msg").or(request.get("uid"));
    key.unwrap_or_default().to_owned()
}

/// The reply that the request should get. A message's id is its text.
fn good(request: &Recorded) -> String {
    match request.get("op").unwrap() {
        "message" => format!(
            r#"{{"op": "message", "mid": {}, "result": true}}"#,
            key(request)
        ),
        "usersget" => r#"{"op": "usersget", "users": [], "result": true}"#.to_owned(),
        op => format!(r#"{{"op": "{op}", "result": true}}"#),
    }
}
