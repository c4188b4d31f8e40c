//! What the facade costs, beside two yardsticks: *bare*, a tonic server that answers the
//! same RPC without any upstream, and *plain*, the shortest honest facade.
//!
//! `cargo bench --bench facade` measures all that docs/performance.md has; `-- --short`
//! takes a minute, and fails if a figure is worse than twice its bar, three times over;
//! `-- --growth` shows what calls, sizes, callers and connections do; `-- --against FILE`
//! compares with another build of the program; `-- --stores [URL]` shows what once-only
//! calls cost, with a PostgreSQL at the URL as well; `-- --doors` shows what a call in JSON
//! costs beside one by gRPC, and fails above its bar; `-- --streams` shows what items of
//! streams cost beside calls, `-- --directory` what the directory costs, `-- --http2` what
//! HTTP/2 to the backend does, and `-- --tls` all three servers with TLS to the caller and to
//! the backend, as `--with-tls` has it behind any of the five before. Each server is a process of its own, and gets the same load in turn, in
//! several rounds, so that other load of the machine affects all of them.

// Nothing is reachable from outside a benchmark; here `pub` means "for its parts".
#![allow(unreachable_pub)]

mod against;
mod backend;
mod bars;
mod directory;
mod doors;
mod growth;
#[path = "../http1.rs"]
mod http1;
mod http2;
mod identity;
mod load;
#[path = "../process.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod process;
mod servers;
mod start;
mod stores;
mod streams;
mod tls;
mod yardsticks;

use std::{env, time::Duration};

use backend::Backend;
use identity::Identity;
use load::{Figures, Load};
use servers::{Kind, Servers};

/// The load of one row of the table.
const LOADS: [(&str, Load); 2] = [
    ("64 in flight, 4 connections", Load::closed(64, 4)),
    ("1 in flight, 1 connection", Load::closed(1, 1)),
];

/// The duration and the number of measurements.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// The time of one load to one server, after a tenth of it to warm up.
    time: Duration,
    starts: usize,
}

const FULL: Effort = Effort {
    rounds: 5,
    time: Duration::from_secs(5),
    starts: 11,
};

const SHORT: Effort = Effort {
    rounds: 5,
    time: Duration::from_secs(1),
    starts: 5,
};

/// Measurements of the short form before it fails: a disturbance passes, a slow program
/// stays slow.
const TRIES: usize = 3;

fn main() {
    let mut args: Vec<_> = env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == "become") {
        process::become_program(&args[1..]);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let with_tls = args.extract_if(.., |argument| *argument == "--with-tls");
    let tls = with_tls.last().map(|_| Identity::make());
    let tls = tls.as_ref();
    let role = args.first().map(String::as_str);
    let is_fine = runtime.block_on(async {
        match role {
            Some("backend") => {
                let backend = Backend::of_argument(&args[1]);
                backend::serve(backend, Identity::of_arguments(&args[2..])).await;
            }
            Some("bare") => yardsticks::bare(Identity::of_arguments(&args[1..])).await,
            Some("plain") => {
                let identity = Identity::of_arguments(&args[2..]);
                yardsticks::plain(&args[1], identity).await;
            }
            Some("--against") => against::measure(&args[1]).await,
            Some("--stores") => stores::measure(args.get(1), FULL, tls).await,
            Some("--doors") => return doors::measure(FULL, tls).await,
            Some("--streams") => streams::measure(FULL, tls).await,
            Some("--directory") => directory::measure(FULL, tls).await,
            Some("--tls") => tls::measure(FULL, &Identity::make()).await,
            Some("--http2") => http2::measure(FULL, tls).await,
            Some("--growth") => growth::measure(SHORT).await,
            Some("--short") => {
                for _ in 0..TRIES {
                    if measure(SHORT).await {
                        return true;
                    }
                }
                return false;
            }
            _ => {
                measure(FULL).await;
            }
        }
        true
    });
    runtime.shutdown_background();
    if !is_fine {
        std::process::exit(1);
    }
}

/// The figures of all servers under each of the loads.
struct Tables {
    /// 64 calls in flight.
    busy: [Figures; 3],
    /// One call.
    alone: [Figures; 3],
    /// Half of what the plain facade can take, for all the same.
    paced: [Figures; 3],
}

/// Measures everything, and whether no ratio is worse than twice its bar.
async fn measure(effort: Effort) -> bool {
    let tables = tables(&Servers::start(1, "", None), effort).await;
    let start = start::time_to_first_answer(effort.starts).await;
    bars::check(&tables.busy, &tables.alone, &tables.paced, start)
}

/// Puts each of the loads on the servers, and prints the figures.
async fn tables(servers: &Servers, effort: Effort) -> Tables {
    let mut tables = Vec::new();
    for (name, load) in LOADS {
        let figures = rounds(servers, load, effort).await;
        println!("\n{name}\n\n{}", load::table(&figures));
        tables.push(figures);
    }
    let rate = tables[0][Kind::Plain as usize].rate / 2.0;
    let paced = rounds(servers, Load::paced(64, 4, rate), effort).await;
    println!(
        "\n{rate:.0} calls a second, 4 connections\n\n{}",
        load::table(&paced)
    );
    Tables {
        busy: tables[0],
        alone: tables[1],
        paced,
    }
}

/// The median figures of each server under a load.
async fn rounds(servers: &Servers, load: Load, effort: Effort) -> [Figures; 3] {
    let mut all = Kind::ALL.map(|_| Vec::new());
    for _ in 0..effort.rounds {
        for kind in Kind::ALL {
            let server = servers.of(kind);
            load.run(server, effort.time / 10).await;
            all[kind as usize].push(load.run(server, effort.time).await);
        }
    }
    all.map(|figures| Figures::median(&figures))
}
