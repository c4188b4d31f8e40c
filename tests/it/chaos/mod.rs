//! Servers that are killed and stopped, and a database that crashes, under stock clients
//! that repeat their calls: nothing is sent twice, and every answer is true. Users are written
//! meanwhile: in the end the directory has every one that the backend holds, and no other.
//!
//! `CHAOS_SECONDS` sets for how long, for a longer soak, and `CHAOS_SEED` repeats the order
//! of what is done to whom.

mod clients;
mod record;
mod users;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use mesibo::Client;
use mesibo_grpc::proto::{
    SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use tempfile::TempDir;
use tonic::transport::Channel;
use uuid::Uuid;

use self::{
    clients::Clients,
    record::{Answer, Call, Record, Verdict},
};
use crate::{
    faults::{backend::Faults, setting},
    support::{Backend, Postgres, Process, backend::ANY_PORT, password_file, say},
};

/// A port of its own while its server is down: on an address that is no client's, nobody
/// takes it.
const ADDRESS: &str = "127.0.0.2:0";

/// The deadline of every call.
const DEADLINE: Duration = Duration::from_secs(1);

/// The setting `store-timeout`. It is longer than a call: a call whose intent takes that long
/// ends unsent. With a shorter one it would be sent without an intent.
const STORE_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest time that a call can take.
const LEASE: Duration = DEADLINE
    .saturating_add(Client::MAX_DETACHED)
    .saturating_add(STORE_TIMEOUT);

/// The time from one disturbance to the next.
const STEP: Duration = Duration::from_secs(2);

/// The time after a crash of the database in which nothing else is done, for servers to see it.
const CALM: Duration = Duration::from_secs(3);

/// The longest time that a write can go on which began while its server's database had failed:
/// it is sent without an intent, and lost by the directory if the server is killed.
const UNPROTECTED: Duration = DEADLINE.saturating_add(Client::MAX_DETACHED);

/// A server, of which there is one process at a time.
struct Replica {
    process: Option<Process>,
    address: String,
    /// When its process, which is stopped, goes on.
    resumes: Option<Instant>,
    /// Before that it is not killed.
    protected_until: Instant,
}

/// Servers over one store, in front of one backend.
struct Replicas {
    all: Vec<Replica>,
    arguments: Vec<String>,
    upstream_url: String,
    random: fastrand::Rng,
    kills: usize,
    stops: usize,
}

impl Replica {
    /// Whether its database has failed since it wrote all that waits for the directory.
    fn is_behind(&self) -> bool {
        let log = self.process.as_ref().expect("it runs").log();
        let failed = log.rfind("takes no writes what=\"the directory\"");
        failed > log.rfind("the directory has written what waited for it")
    }
}

impl Replicas {
    fn start(count: usize, backend: &Backend, store: &str, more: &[&str]) -> Self {
        let deadline = format!("{}ms", DEADLINE.as_millis());
        let store_timeout = format!("{}ms", STORE_TIMEOUT.as_millis());
        let arguments = [
            &["--store", store, "--store-timeout", &store_timeout][..],
            &["--default-deadline", &deadline, "--max-deadline", &deadline],
            &["--upstream-idle-timeout", "500ms"],
            &[
                "--log",
                "warn,mesibo_grpc::cli=info,mesibo_grpc::store=info",
            ],
            &["--audit-log", "/dev/null"],
            &["--directory-lookup-interval", "50ms"],
            more,
        ];
        let seed = setting("CHAOS_SEED", fastrand::u64(..));
        say(&format!("\nCHAOS_SEED={seed}\n"));
        let mut replicas = Self {
            all: Vec::new(),
            arguments: arguments.concat().into_iter().map(Into::into).collect(),
            upstream_url: backend.url(),
            random: fastrand::Rng::with_seed(seed),
            kills: 0,
            stops: 0,
        };
        for _ in 0..count {
            let process = replicas.serve(ADDRESS);
            replicas.all.push(Replica {
                address: process.address.clone(),
                process: Some(process),
                resumes: None,
                protected_until: Instant::now(),
            });
        }
        replicas
    }

    fn serve(&self, address: &str) -> Process {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        Process::serve_on(address, &self.upstream_url, &arguments)
    }

    fn addresses(&self) -> Vec<&str> {
        let all = self.all.iter();
        all.map(|replica| replica.address.as_str()).collect()
    }

    /// Kills one of those that run, and starts it again, or, each third time, stops it for
    /// longer than a lease. A turn does not pass while there is none that it may be for.
    fn disturb(&mut self) {
        let (stops, now) = ((self.kills + self.stops) % 3 == 2, Instant::now());
        let running: Vec<_> = (0..self.all.len())
            .filter(|&n| self.all[n].resumes.is_none())
            .filter(|&n| stops || self.all[n].protected_until <= now)
            .collect();
        let Some(&n) = self.random.choice(&running) else {
            return;
        };
        let address = self.all[n].address.clone();
        if stops {
            self.stops += 1;
            self.signal(n, "STOP");
            self.all[n].resumes = Some(now + LEASE + Duration::from_secs(1));
        } else {
            self.kills += 1;
            // SIGKILL.
            drop(self.all[n].process.take());
            self.all[n].process = Some(self.serve(&address));
        }
    }

    /// Lets those go on whose time has come, and protects those whose database has failed, or
    /// may have failed while they were stopped.
    fn watch(&mut self, now: Instant) {
        for n in 0..self.all.len() {
            let resumes = self.all[n].resumes.is_some_and(|resumes| resumes <= now);
            if resumes {
                self.all[n].resumes = None;
                self.signal(n, "CONT");
            }
            if resumes || self.all[n].is_behind() {
                self.all[n].protected_until = now + UNPROTECTED;
            }
        }
    }

    fn signal(&self, n: usize, name: &str) {
        let process = self.all[n].process.as_ref();
        process.expect("it runs").signal(name);
    }
}

/// Disturbs the servers for as long as the run lasts, and their database twice.
fn disturb(replicas: &mut Replicas, length: Duration, crash: impl Fn()) {
    let start = Instant::now();
    let mut crashes = [length / 3, length * 2 / 3].into_iter().peekable();
    let mut calm_until = start;
    for step in 1.. {
        let next = start + STEP * step;
        while Instant::now() < next {
            replicas.watch(Instant::now());
            thread::sleep(Duration::from_millis(20));
        }
        if start.elapsed() >= length {
            break;
        }
        if crashes.next_if(|&at| at <= start.elapsed()).is_some() {
            crash();
            calm_until = Instant::now() + CALM;
        } else if Instant::now() >= calm_until {
            replicas.disturb();
        }
    }
    let resumed = replicas.all.iter().filter_map(|replica| replica.resumes);
    if let Some(last) = resumed.max() {
        thread::sleep(last.saturating_duration_since(Instant::now()));
        replicas.watch(last);
    }
}

/// Repeats the call of each number twice, by one server after the other, once all is calm.
async fn repeat_all(replicas: &Replicas, record: &Mutex<Record>) {
    let mut channels = Vec::new();
    for replica in &replicas.all {
        channels.push(replica.process.as_ref().expect("it runs").channel().await);
    }
    let numbers = record.lock().unwrap().numbers();
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..32).map(async |_| {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(&number) = numbers.get(n) else {
                break;
            };
            let one = repeat(&channels[n % channels.len()], number, record).await;
            let other = repeat(&channels[(n + 1) % channels.len()], number, record).await;
            let (one, (other, is_replayed)) = (one.0, other);
            if one != other || !is_replayed {
                let wrong = format!("{number}: {one:?}, then {other:?}, {is_replayed}");
                record.lock().unwrap().contradictions.push(wrong);
            }
        }
    });
    futures_util::future::join_all(workers).await;
}

/// Repeats a call until its answer is definite.
async fn repeat(channel: &Channel, number: u64, record: &Mutex<Record>) -> (Answer, bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let request = SendMessageRequest {
            from_address: "alice".into(),
            recipient: Some(Recipient::Gid(9)),
            message: number.to_string(),
            request_id: Some(id(number).to_string()),
            ..Default::default()
        };
        let mut messages = MessageServiceClient::new(channel.clone());
        let begun = now();
        let (answer, is_replayed) = Answer::of(&messages.send_message(request).await);
        let call = Call {
            begun,
            ended: now(),
            answer: answer.clone(),
            is_replayed,
        };
        record.lock().unwrap().take(number, call);
        if !matches!(answer, Answer::Undecided(_)) {
            return (answer, is_replayed);
        }
        assert!(Instant::now() < deadline, "{number}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The microseconds of this machine's clock.
fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    since.as_micros().try_into().unwrap()
}

/// The id of a call, as the clients have it.
fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number))
}

/// The whole run.
fn chaos(replicas: usize, store: &str, more: &[&str], crash: impl Fn() + Send) {
    let length = Duration::from_secs(setting("CHAOS_SECONDS", 30));
    let faults = Faults::with_users(fastrand::u64(..));
    let backend = faults.backend(ANY_PORT);
    let mut replicas = Replicas::start(replicas, &backend, store, more);
    let record = Arc::<Mutex<Record>>::default();
    let Some(mut clients) = Clients::start(&replicas.addresses(), &record) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let addresses: Vec<_> = replicas.addresses().into_iter().map(String::from).collect();
    let is_over = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
            let is_over = || is_over.load(Ordering::SeqCst);
            runtime.block_on(users::write_until(&addresses, is_over))
        });
        let disturbing = scope.spawn(|| {
            disturb(&mut replicas, length, crash);
            faults.stop();
            is_over.store(true, Ordering::SeqCst);
        });
        clients.send_until(|| disturbing.is_finished());
        // It may have failed before it said so.
        is_over.store(true, Ordering::SeqCst);
        writing.join().unwrap()
    });
    let before = record.lock().unwrap().judge(&faults);
    thread::sleep(LEASE);
    runtime.block_on(repeat_all(&replicas, &record));
    let directory = runtime.block_on(async {
        let process = replicas.all[0].process.as_ref().expect("it runs");
        users::settled(&process.channel().await).await
    });

    let record = record.lock().unwrap();
    let after = record.judge(&faults);
    let (sent, unknown) = record.counts();
    let numbers = record.numbers().len();
    say(&format!(
        "ids: {numbers}, of which sent: {sent}, unknown: {unknown}, forgotten: {}\n\
         answers: {:#?}\nfaults injected: {:#?}\nservers killed: {}, stopped: {}\n\
         sent twice: {}, contradictions: {}, undecided: {}\n\
         writes of users: {written:#?}\nusers in the end: {}\n",
        record.forgotten(),
        record.answers,
        faults.injected(),
        replicas.kills,
        replicas.stops,
        after.sent_twice.len(),
        after.contradictions.len(),
        before.undecided.len(),
        directory.len(),
    ));
    assert_eq!(
        users::differences(&directory, &faults),
        Vec::<String>::new()
    );
    assert!(written["create: done"] > 5, "users are made");
    assert_eq!(before, Verdict::default());
    assert_eq!(after, Verdict::default());
    assert!(numbers > 50 && sent > numbers / 2, "most messages are sent");
    assert!(
        unknown > 0,
        "some calls were under way in a server that was killed"
    );
    assert!(record.forgotten() * 20 <= numbers, "outcomes are written");
}

#[test]
fn servers_over_postgres_that_are_killed_and_stopped_send_nothing_twice_and_tell_the_truth() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let more = ["--store-password-file", &password_file(&folder)];
    chaos(3, &postgres.url("postgres"), &more, || {
        postgres.crash();
        postgres.resume();
    });
}

#[test]
fn a_server_over_sqlite_that_is_killed_and_stopped_sends_nothing_twice_and_tells_the_truth() {
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    chaos(1, &store, &[], || {});
}
