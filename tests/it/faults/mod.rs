//! Thousands of calls through a backend that fails at random, and whether each tells
//! the truth.
//!
//! `FAULT_CALLS` sets how many, for a longer soak, and `FAULT_SEED` repeats a run.

pub mod backend;
mod idle;
mod users;

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mesibo_grpc::proto::{
    EditUserRequest, ListUsersRequest, SendMessageRequest,
    message_service_client::MessageServiceClient, send_message_request::Recipient,
    user_service_client::UserServiceClient,
};
use tonic::{Code, Status};

use crate::support::{
    Backend, Process,
    backend::ANY_PORT,
    facade::{Raw, raw, soon, with_timeout},
    say, told,
};
use backend::{Fate, Faults};

/// How many calls are in flight.
const CALLERS: usize = 64;

/// Held while it matters when things happen: two suites at a time would make each other
/// late.
static TIMED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How much later than its deadline a call may end on a busy machine.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// What the calls showed.
#[derive(Default)]
struct Summary {
    calls: AtomicUsize,
    answered: AtomicUsize,
    sent_twice: AtomicUsize,
    late: AtomicUsize,
    wrong: AtomicUsize,
    /// How many writes failed, by the reason.
    reasons: Mutex<BTreeMap<String, usize>>,
}

/// One caller, whose calls have numbers of their own.
struct Caller {
    users: UserServiceClient<Raw>,
    messages: MessageServiceClient<Raw>,
    faults: Faults,
    summary: Arc<Summary>,
}

impl Caller {
    async fn call(&mut self, number: usize) {
        // From 100 to 1,000 ms, whatever the number.
        let timeout = Duration::from_millis(100 + (number as u64 * 7919) % 900);
        let grpc_timeout = format!("{}m", timeout.as_millis());
        let start = Instant::now();
        let wrong = match number % 4 {
            0 | 1 => {
                let request = with_timeout(message(number), &grpc_timeout);
                let sent = self.messages.send_message(request).await;
                let id = sent.map(|sent| sent.into_inner().message_id);
                self.check(&id, number, Some(number as u64))
            }
            2 => {
                let edit = EditUserRequest {
                    uid: number as u64,
                    flags: Some(1),
                    active: None,
                    ..EditUserRequest::default()
                };
                let edited = self.users.edit_user(with_timeout(edit, &grpc_timeout));
                let edited = edited.await.map(|_| None);
                self.check(&edited, number, None)
            }
            _ => {
                let list = with_timeout(ListUsersRequest::default(), &grpc_timeout);
                match self.users.list_users(list).await {
                    Ok(_) => None,
                    Err(status) => told(&status)
                        .3
                        .contains_key("outcome")
                        .then(|| format!("a read has no outcome: {status:?}")),
                }
            }
        };
        let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.summary.calls);
        if start.elapsed() > timeout + ALLOWANCE {
            count(&self.summary.late);
            say(&format!("call {number} took {:?}\n", start.elapsed()));
        }
        if let Some(wrong) = wrong {
            count(&self.summary.wrong);
            say(&format!("call {number}: {wrong}\n"));
        }
    }

    /// What is wrong with the answer to a write, in the light of its fate.
    fn check(
        &self,
        answer: &Result<Option<u64>, Status>,
        number: usize,
        id: Option<u64>,
    ) -> Option<String> {
        let fates = self.faults.fates(&number.to_string());
        if fates.len() > 1 {
            self.summary.sent_twice.fetch_add(1, Ordering::Relaxed);
        }
        let is_true = match answer {
            Ok(answered) => {
                self.summary.answered.fetch_add(1, Ordering::Relaxed);
                fates == [Fate::Done] && *answered == id
            }
            Err(status) => {
                let (code, _, reason, metadata) = told(status);
                let mut reasons = self.summary.reasons.lock().unwrap();
                *reasons.entry(reason.clone()).or_default() += 1;
                drop(reasons);
                if metadata.contains_key("outcome") {
                    // A message is fenced off from every retry.
                    let pushback = status.metadata().contains_key("grpc-retry-pushback-ms");
                    id.is_none() || code != Code::Unavailable && pushback
                } else {
                    let expected: &[_] = match reason.as_str() {
                        "NOUSER" => &[Fate::Refused],
                        "UPSTREAM_HTTP_STATUS" => &[Fate::NotTakenUp],
                        "UPSTREAM_UNREACHABLE"
                        | "UPSTREAM_DOWN"
                        | "OVERLOADED"
                        | "DEADLINE_EXCEEDED" => &[],
                        _ => return Some(format!("an unexpected status: {status:?}")),
                    };
                    fates == expected
                }
            }
        };
        (!is_true).then(|| format!("{answer:?} is not what happened: {fates:?}"))
    }
}

fn message(number: usize) -> SendMessageRequest {
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::Gid(9)),
        message: number.to_string(),
        ..Default::default()
    }
}

/// A number that the environment sets.
pub fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Makes calls with these numbers, [`CALLERS`] at a time.
async fn make_calls(
    server: SocketAddr,
    faults: &Faults,
    summary: &Arc<Summary>,
    numbers: std::ops::Range<usize>,
) {
    let (client, origin) = raw(server);
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let callers = (0..CALLERS).map(|_| {
        let mut caller = Caller {
            users: UserServiceClient::with_origin(client.clone(), origin.clone()),
            messages: MessageServiceClient::with_origin(client.clone(), origin.clone()),
            faults: faults.clone(),
            summary: Arc::clone(summary),
        };
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    break;
                }
                caller.call(number).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// Waits until the breaker has found out that the backend answers. It probes after a
/// second, and then less and less often.
async fn answers_again(users: &mut UserServiceClient<Raw>) {
    let end = Instant::now() + Duration::from_mins(1);
    while let Err(status) = users.list_users(ListUsersRequest::default()).await {
        if told(&status).2 != "UPSTREAM_DOWN" {
            break;
        }
        assert!(Instant::now() < end, "calls go through again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_tells_the_truth_in_time_whatever_the_backend_does() {
    every_call_tells_the_truth("http1", Faults::backend, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_tells_the_truth_in_time_whatever_the_backend_does_over_http2() {
    // What becomes of a connection becomes of all calls on it.
    every_call_tells_the_truth("http2", Faults::http2_backend, 10).await;
}

/// Makes thousands of calls through backends with faults. At least one call of `part` is a
/// write that is answered.
async fn every_call_tells_the_truth(
    protocol: &str,
    backend_of: fn(&Faults, SocketAddr) -> Backend,
    part: usize,
) {
    let _timed = TIMED.lock().await;
    let calls = usize::try_from(setting("FAULT_CALLS", 6_000)).unwrap();
    let seed = setting("FAULT_SEED", fastrand::u64(..));
    say(&format!("\nFAULT_SEED={seed}\n"));
    let faults = Faults::new(seed);
    let summary = Arc::new(Summary::default());

    let mut backend = backend_of(&faults, ANY_PORT);
    let address = backend.addr();
    let args = [
        "--upstream-idle-timeout",
        "500ms",
        "--upstream-protocol",
        protocol,
    ];
    let process = Process::serve(&backend.url(), &args);
    let server = process.address.parse().unwrap();
    make_calls(server, &faults, &summary, 1..500).await;
    let memory_before = process.memory();

    let (client, origin) = raw(server);
    let mut users = UserServiceClient::with_origin(client, origin);
    let mut next = 500;
    for _ in 0..3 {
        let end = next + calls / 3;
        make_calls(server, &faults, &summary, next..end).await;
        drop(backend);
        faults.count("nobody listens");
        make_calls(server, &faults, &summary, end..end + 200).await;
        next = end + 200;
        backend = backend_of(&faults, address);
        answers_again(&mut users).await;
    }

    faults.stop();
    // A fault may have met the last probe.
    answers_again(&mut users).await;
    for _ in 0..100 {
        users.list_users(ListUsersRequest::default()).await.unwrap();
    }
    drop(users);
    let files = soon(async {
        loop {
            let files = process.open_files();
            // Its own, and a few connections that are about to go.
            if files < 40 {
                break files;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;

    let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    say(&format!(
        "calls made: {}, of which writes answered: {}\nwrites failed: {:#?}\n\
         faults injected: {:#?}\n\
         messages sent twice: {}\ncalls past their deadline: {}\nwrong statuses: {}\n\
         open files in the end: {files}; memory: {memory_before} KiB, then {} KiB\n",
        of(&summary.calls),
        of(&summary.answered),
        summary.reasons.lock().unwrap(),
        faults.injected(),
        of(&summary.sent_twice),
        of(&summary.late),
        of(&summary.wrong),
        process.memory()
    ));
    assert_eq!(of(&summary.sent_twice), 0);
    assert_eq!(of(&summary.late), 0);
    assert_eq!(of(&summary.wrong), 0);
    assert!(
        of(&summary.answered) > calls / part,
        "most calls go through"
    );
    assert!(process.memory() < memory_before * 2 + 16 * 1024);
}
