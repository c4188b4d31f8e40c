//! Replicas of the facade under load for a long time: three over one store, by TLS, at 70%
//! of what they can take, in front of a backend that fails, while tokens, certificates and
//! callers are replaced and replicas are stopped and started.
//!
//! `cargo bench --bench soak` takes ten minutes and some, `-- --short` one. It fails if an
//! answer is not the one that the backend's doing explains, if a file was not taken up, or
//! if the replica that stays does not hold what it held before: memory, descriptors,
//! threads, and what its gauges say.

// Nothing is reachable from outside a benchmark; here `pub` means "for its parts".
#![allow(unreachable_pub)]

mod backend;
mod calls;
mod files;
#[path = "../http1.rs"]
mod http1;
mod measure;
#[path = "../process.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod process;
mod replicas;

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};

use calls::Kind;
use files::Files;
use measure::{Rest, scrape, slope, sum};
use process::Server;
use replicas::{Replicas, Ways};

/// Calls in flight at the most.
const IN_FLIGHT: usize = 128;

/// Of the calls a second that there can be.
const LOAD: f64 = 0.7;

/// How long the most calls a second are looked for.
const SEARCH: Duration = Duration::from_secs(3);

/// From a reload on, how long the backend takes the token before. Files are taken up within
/// a second.
const OVERLAP: Duration = Duration::from_secs(3);

/// Unexpected answers that are printed.
const SHOWN: usize = 10;

/// How long a run is, and what happens in it.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// The load before anything is measured: buffers and caches grow to their size.
    warm_up: Duration,
    time: Duration,
    /// From one replacement of the files to the next.
    reload: Duration,
    /// From one stop of a replica to the next.
    roll: Duration,
    /// Of memory, in MiB a minute.
    max_growth: f64,
}

const FULL: Plan = Plan {
    warm_up: Duration::from_mins(1),
    time: Duration::from_mins(10),
    reload: Duration::from_secs(20),
    roll: Duration::from_secs(15),
    max_growth: 1.0,
};

/// In so short a time caches still grow to their size. A leak is steeper: 1 KiB a call, at
/// 1,000 calls a second, are 57 MiB a minute.
const SHORT: Plan = Plan {
    warm_up: Duration::from_secs(10),
    time: Duration::from_secs(40),
    reload: Duration::from_secs(10),
    roll: Duration::from_secs(8),
    max_growth: 16.0,
};

/// What the calls of a run were.
#[derive(Default)]
struct Tally {
    calls: Mutex<BTreeMap<Kind, u64>>,
    unexplained: Mutex<Vec<String>>,
}

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == "become") {
        process::become_program(&args[1..]);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let is_fine = runtime.block_on(async {
        match args.first().map(String::as_str) {
            Some("backend") => {
                backend::serve(&args[1]).await;
                true
            }
            Some("--short") => soak(SHORT).await,
            _ => soak(FULL).await,
        }
    });
    runtime.shutdown_background();
    if !is_fine {
        std::process::exit(1);
    }
}

/// Runs a plan, prints what came of it, and says whether all held.
async fn soak(plan: Plan) -> bool {
    let files = Files::new();
    let tokens = files.path("tokens");
    let backend = Server::of_role(&["backend", tokens.to_str().expect("it is text")]);
    let replicas = Replicas::start(&files, backend.url()).await;
    let (metrics, ways) = (replicas.metrics, replicas.ways());

    let most = load(&ways, None, SEARCH, |_| Kind::Message).await;
    let found = most.total();
    #[allow(clippy::cast_precision_loss)]
    let rate = found as f64 / SEARCH.as_secs_f64() * LOAD;
    println!("{rate:.0} calls a second, of {found} in {SEARCH:?} that there can be");
    let warm = load(&ways, Some(rate), plan.warm_up, Kind::of).await;
    replicas.disconnect();
    let before = Rest::of(replicas.first(), metrics).await;
    replicas.connect_all(&files).await;

    let disturbances = tokio::spawn(disturb(replicas, files, plan));
    let calls = load(&ways, Some(rate), plan.time, Kind::of).await;
    let (replicas, files, samples) = disturbances.await.expect("nothing panics");
    replicas.disconnect();
    let after = Rest::of(replicas.first(), metrics).await;

    let mut wrong = warm.report("warming up", rate * plan.warm_up.as_secs_f64());
    wrong.extend(calls.report("under load", rate * plan.time.as_secs_f64()));
    wrong.extend(compare(before, after, &samples, plan));
    wrong.extend(reloads(&scrape(metrics).await, files.generation));
    for wrong in &wrong {
        println!("FAILED: {wrong}");
    }
    wrong.is_empty()
}

/// Makes calls for a while, so many a second, or as many as there can be.
async fn load(
    ways: &Arc<Ways>,
    rate: Option<f64>,
    time: Duration,
    kind: fn(u64) -> Kind,
) -> Arc<Tally> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tally = Arc::<Tally>::default();
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (ways, next, tally) = (Arc::clone(ways), Arc::clone(&next), Arc::clone(&tally));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                #[allow(clippy::cast_precision_loss)]
                let due = rate.map_or_else(Instant::now, |rate| {
                    begun + Duration::from_secs_f64(number as f64 / rate)
                });
                if due >= begun + time || begun.elapsed() >= time {
                    return;
                }
                // It sleeps for a millisecond at least, even until now.
                if due > Instant::now() {
                    sleep_until(due).await;
                }
                let kind = kind(number);
                // hyper's client does not repeat what it had not sent when its connection was
                // told to end.
                let answer = loop {
                    let answer = kind.call(ways.channel(number), number).await;
                    let is_unsent = |why: &String| {
                        why.contains("operation was canceled")
                            || why.contains(r#"GoAway(b"", NO_ERROR, Remote)"#)
                    };
                    if !answer.as_ref().is_err_and(is_unsent) {
                        break answer;
                    }
                };
                tally.take(kind, answer);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("nothing panics");
    }
    tally
}

/// Replaces the files and stops replicas, one after the other, and reads the memory of the
/// one that stays meanwhile: minutes and MiB.
async fn disturb(
    mut replicas: Replicas,
    mut files: Files,
    plan: Plan,
) -> (Replicas, Files, Vec<(f64, f64)>) {
    let begun = Instant::now();
    let mut samples = Vec::new();
    let mut seconds = interval(Duration::from_secs(1));
    let (mut reload, mut roll) = (begun + plan.reload / 2, begun + plan.roll);
    let mut turn = 0;
    // What began must end before the calls do.
    while begun.elapsed() + Duration::from_secs(5) < plan.time {
        seconds.tick().await;
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        samples.push((minutes, replicas.first().memory()));
        if Instant::now() >= reload {
            reload += plan.reload;
            files.renew();
            sleep(OVERLAP).await;
            files.revoke();
            replicas.connect_all(&files).await;
        }
        if Instant::now() >= roll {
            roll += plan.roll;
            replicas.roll(turn, &files).await;
            turn += 1;
        }
    }
    println!(
        "files replaced: {}, replicas replaced: {turn}",
        files.generation
    );
    (replicas, files, samples)
}

impl Tally {
    fn take(&self, kind: Kind, answer: Result<(), String>) {
        let mut calls = self.calls.lock().expect("nobody panics with it");
        *calls.entry(kind).or_default() += 1;
        drop(calls);
        if let Err(answer) = answer {
            let mut unexplained = self.unexplained.lock().expect("nobody panics with it");
            unexplained.push(answer);
        }
    }

    fn total(&self) -> u64 {
        let calls = self.calls.lock().expect("nobody panics with it");
        calls.values().sum()
    }

    /// Prints what there was, and says what is wrong with it.
    fn report(&self, when: &str, due: f64) -> Vec<String> {
        let calls = self.calls.lock().expect("nobody panics with it");
        let unexplained = self.unexplained.lock().expect("nobody panics with it");
        println!("calls {when}: {due:.0} due, {calls:?}");
        let mut wrong: Vec<_> = unexplained.iter().take(SHOWN).cloned().collect();
        if !unexplained.is_empty() {
            wrong.push(format!("{} unexplained answers {when}", unexplained.len()));
        }
        #[allow(clippy::cast_precision_loss)]
        let made = calls.values().sum::<u64>() as f64;
        if made < due / 4.0 {
            wrong.push(format!("not a quarter of the calls were made {when}"));
        }
        wrong
    }
}

/// What the replica that stays holds and did not hold before.
fn compare(
    before: Result<Rest, String>,
    after: Result<Rest, String>,
    samples: &[(f64, f64)],
    plan: Plan,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check_growth = |when: &str, growth: f64| {
        println!("memory {when}: {growth:.2} MiB a minute");
        if growth > plan.max_growth {
            let most = plan.max_growth;
            wrong.push(format!(
                "memory {when} grows by {growth:.2} MiB a minute, more than {most}"
            ));
        }
    };
    check_growth("under load", slope(samples));
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            wrong.extend([before.err(), after.err()].into_iter().flatten());
            return wrong;
        }
    };
    println!("at rest before: {before:?}\nat rest after:  {after:?}");
    let growth = (after.memory - before.memory) / plan.time.as_secs_f64() * 60.0;
    check_growth("at rest", growth);
    for (what, before, after) in [
        ("descriptors", before.descriptors, after.descriptors),
        ("threads", before.threads, after.threads),
    ] {
        if after > before {
            wrong.push(format!("{what}: {before} before, {after} after"));
        }
    }
    wrong
}

/// Which files were not taken up each time, by the metrics.
fn reloads(metrics: &str, generations: usize) -> Vec<String> {
    let kinds = ["certificate", "token", "callers"].into_iter();
    let wrong = kinds.filter_map(|kind| {
        let of = |outcome: &str| {
            let labels = format!("{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
            sum(metrics, "mesibo_grpc_reloads_total", &labels)
        };
        let told = format!("{} taken up, {} failed", of("ok"), of("failed"));
        let expected = format!("{generations} taken up, 0 failed");
        (told != expected).then(|| format!("{kind}: {told}, not {expected}"))
    });
    wrong.collect()
}
