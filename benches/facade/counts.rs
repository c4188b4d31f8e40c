//! What a call takes that can be counted: allocations and system calls.
//!
//! `cargo bench --bench counts` prints them for *bare*, *plain* and the facade, without and
//! with TLS on both sides, and for what the facade alone has. Counts hardly depend on what
//! else the machine does, and not at all on how fast it is. Each server is a process of its
//! own, with an allocator that counts; system calls are counted by `perf stat`, or else by
//! `strace -c`.

// Nothing is reachable from outside a benchmark; here `pub` means "for its parts".
#![allow(unreachable_pub)]

mod backend;
#[path = "../http1.rs"]
mod http1;
mod identity;
#[allow(dead_code, reason = "this benchmark uses a part of it")]
mod load;
#[path = "../process.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod process;
#[allow(dead_code, reason = "this benchmark uses a part of it")]
mod servers;
mod yardsticks;

use std::{
    alloc::System,
    env,
    io::{Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mesibo_grpc::cli;
use rustix::process::{Pid, Signal, kill_process};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tempfile::{NamedTempFile, TempDir};

use backend::Backend;
use identity::Identity;
use load::Load;
use process::Server;
use servers::{facade_by, of_role};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The load under which is counted.
const LOAD: Load = Load::closed(64, 4);

/// The time of one load.
const TIME: Duration = Duration::from_secs(2);

/// What a call takes on average.
struct Counts {
    allocations: f64,
    /// `None` where neither `perf` nor `strace` can count them.
    system_calls: Option<f64>,
}

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    let role = args.first().map_or("", String::as_str);
    if role == "become" {
        process::become_program(&args[1..]);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        match role {
            "backend" => {
                let backend = Backend::of_argument(&args[1]);
                backend::serve(backend, Identity::of_arguments(&args[2..])).await;
            }
            "bare" => {
                answer_for_allocations();
                yardsticks::bare(Identity::of_arguments(&args[1..])).await;
            }
            "plain" => {
                answer_for_allocations();
                yardsticks::plain(&args[1], Identity::of_arguments(&args[2..])).await;
            }
            "serve" => {
                answer_for_allocations();
                let task = cli::parse(env::args_os()).expect("the settings are valid");
                task.run().await.expect("it serves");
            }
            _ => measure().await,
        }
    });
    runtime.shutdown_background();
}

/// Counts for all servers, and prints the figures.
async fn measure() {
    println!("| server | allocations a call | system calls a call |\n|---|---|---|");
    let identity = Identity::make();
    for (surroundings, identity) in [("", None), (", TLS on both sides", Some(&identity))] {
        let folder = TempDir::new().expect("there is room for a folder");
        let backend = of_role(&["backend", "messages"], identity);
        let bare = of_role(&["bare"], identity);
        let plain = of_role(&["plain", &backend.url()], identity);
        let sqlite = format!("sqlite:{}", folder.path().join("store.db").display());
        let [(memory, _of_memory), (sqlite, _of_sqlite)] =
            ["memory", &sqlite].map(|store| facade(&backend, store, identity));
        for (name, server, load) in [
            ("bare", &bare, LOAD),
            ("plain", &plain, LOAD),
            ("facade", &memory, LOAD),
            ("facade, an id in memory", &memory, LOAD.with_id()),
            ("facade, an id in sqlite", &sqlite, LOAD.with_id()),
        ] {
            let Counts {
                allocations,
                system_calls,
            } = count(server, load).await;
            let system_calls = system_calls.map_or("?".to_owned(), |it| format!("{it:.2}"));
            println!("| {name}{surroundings} | {allocations:.1} | {system_calls} |");
        }
    }
}

/// The facade with a store, in this program, so that its allocations are counted.
fn facade(backend: &Server, store: &str, identity: Option<&Identity>) -> (Server, NamedTempFile) {
    let program = env::current_exe().expect("this program is a file");
    let program = program.to_str().expect("its path is a text");
    let store = format!("store = \"{store}\"\n");
    facade_by(program, backend, 1, &store, identity)
}

/// Puts the load on a server twice: nothing that counts system calls may be there while
/// allocations are counted.
async fn count(server: &Server, load: Load) -> Counts {
    load.run(server, TIME / 4).await;
    let before = allocations(server);
    let calls = f64::from(load.run(server, TIME).await.calls);
    let allocations = allocations(server) - before;
    let counter = SystemCalls::begin(server);
    let calls_too = f64::from(load.run(server, TIME).await.calls);
    let system_calls = counter.and_then(SystemCalls::end);
    Counts {
        allocations: allocations / calls,
        system_calls: system_calls.map(|count| count / calls_too),
    }
}

/// Tells whoever asks how many allocations this process has made.
fn answer_for_allocations() {
    let listener = UnixListener::bind_addr(&address(std::process::id()));
    let listener = listener.expect("the name is free");
    thread::spawn(move || {
        for asked in listener.incoming() {
            let stats = ALLOCATOR.stats();
            let count = stats.allocations + stats.reallocations;
            let _ = asked.and_then(|mut stream| write!(stream, "{count}"));
        }
    });
}

/// How many allocations a process has made.
#[allow(clippy::cast_precision_loss, reason = "there are not so many")]
fn allocations(server: &Server) -> f64 {
    let mut answer = String::new();
    UnixStream::connect_addr(&address(server.id()))
        .and_then(|mut stream| stream.read_to_string(&mut answer))
        .expect("it tells");
    answer.parse::<u64>().expect("it is a number") as f64
}

/// Where a process is asked. The name is no file.
fn address(process: u32) -> SocketAddr {
    let name = format!("mesibo-grpc-counts-{process}");
    SocketAddr::from_abstract_name(name).expect("it is short")
}

/// A program that counts the system calls of a process.
struct SystemCalls {
    program: Child,
    read: fn(&str) -> Option<f64>,
}

impl SystemCalls {
    /// `None` if no program can.
    fn begin(server: &Server) -> Option<Self> {
        let process = server.id().to_string();
        let perf = "perf stat --field-separator=, --event=raw_syscalls:sys_enter --pid";
        let strace = "strace --summary-only --follow-forks --attach";
        // A line of perf's is `COUNT,UNIT,EVENT,…`.
        Self::by(perf, &process, |text| {
            let line = text.lines().find(|line| line.contains("sys_enter"))?;
            line.split(',').next()?.parse().ok()
        })
        // The last line of strace's is `PERCENT SECONDS MICROSECONDS COUNT [ERRORS] total`.
        .or_else(|| {
            Self::by(strace, &process, |text| {
                let line = text.lines().find(|line| line.ends_with(" total"))?;
                line.split_whitespace().nth(3)?.parse().ok()
            })
        })
    }

    fn by(command: &str, process: &str, read: fn(&str) -> Option<f64>) -> Option<Self> {
        let mut words = command.split(' ');
        let mut program = Command::new(words.next()?)
            .args(words)
            .arg(process)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        // Until it has attached itself, or has found that it may not.
        thread::sleep(Duration::from_secs(1));
        let is_running = matches!(program.try_wait(), Ok(None));
        is_running.then_some(Self { program, read })
    }

    /// The calls since the beginning.
    fn end(self) -> Option<f64> {
        kill_process(Pid::from_child(&self.program), Signal::INT).ok()?;
        let output = self.program.wait_with_output().ok()?;
        (self.read)(&String::from_utf8_lossy(&output.stderr))
    }
}
