//! What once-only calls cost with each store, beside calls without a `request_id` on the
//! same server.

use std::time::Duration;

use tempfile::TempDir;

use crate::{
    Effort,
    identity::Identity,
    load::{Figures, Load, ratio},
    process::Server,
    servers::{facade, of_role},
};

/// Request ids that a store holds when its server's memory is read again.
const IDS: f64 = 1e6;

/// The time of one load while ids are made. It is shorter than the age of a connection, after
/// which the server lets it go.
const FILL: Duration = Duration::from_secs(20);

/// A server with a store, and what was measured of it.
struct Row {
    name: &'static str,
    server: Server,
    /// Without an id, 64 in flight.
    without: Figures,
    /// With an id, 64 in flight.
    with: Figures,
    /// Without an id, one at a time.
    without_alone: Figures,
    /// With an id, one at a time.
    with_alone: Figures,
}

/// Measures `memory`, `sqlite` in the folder of temporary files, and PostgreSQL if there is
/// a URL, whose password is in `PGPASSWORD`.
pub async fn measure(postgres: Option<&String>, effort: Effort, identity: Option<&Identity>) {
    let folder = TempDir::new().expect("there is room for a folder");
    let backend = of_role(&["backend", "messages"], identity);
    let file = folder.path().join("store.db");
    let mut stores = vec![
        ("memory", "memory".to_owned()),
        ("sqlite", format!("sqlite:{}", file.display())),
    ];
    stores.extend(postgres.map(|url| ("postgres", url.clone())));
    let mut rows = Vec::new();
    for (name, store) in stores {
        let store = format!("store = \"{store}\"\n");
        let (server, _settings) = facade(&backend, 1, &store, identity);
        rows.push(Row {
            name,
            without: median(&server, Load::closed(64, 4), effort).await,
            with: median(&server, Load::closed(64, 4).with_id(), effort).await,
            without_alone: median(&server, Load::closed(1, 1), effort).await,
            with_alone: median(&server, Load::closed(1, 1).with_id(), effort).await,
            server,
        });
    }
    print(&rows);
    for row in rows.iter().filter(|row| row.name != "memory") {
        let before = row.server.memory();
        let load = Load::closed(64, 4).with_id();
        let mut ids = 0.0;
        while ids < IDS {
            let filled = load.run(&row.server, FILL).await;
            ids += filled.rate * FILL.as_secs_f64();
        }
        println!(
            "{}: {:.1} MiB resident, and {:.1} MiB after {ids:.0} ids more",
            row.name,
            before,
            row.server.memory(),
        );
    }
}

async fn median(server: &Server, load: Load, effort: Effort) -> Figures {
    let mut all = Vec::new();
    for _ in 0..effort.rounds {
        load.run(server, effort.time / 10).await;
        all.push(load.run(server, effort.time).await);
    }
    Figures::median(&all)
}

fn print(rows: &[Row]) {
    let first = rows[0].without;
    println!(
        "| store | CPU a call without an id, beside memory | CPU with an id, beside without | \
         calls a second with an id, beside without | p50 alone, more with an id |\n\
         |---|---|---|---|---|"
    );
    for row in rows {
        let Row { with, without, .. } = row;
        let more = row.with_alone.p50.saturating_sub(row.without_alone.p50);
        println!(
            "| {} | {:.1} µs ({:.2}) | {:.1} µs ({:.2}) | {:.0} ({:.2}) | {:.2} ms |",
            row.name,
            without.cpu.as_secs_f64() * 1e6,
            ratio(without.cpu, first.cpu),
            with.cpu.as_secs_f64() * 1e6,
            ratio(with.cpu, without.cpu),
            with.rate,
            with.rate / without.rate,
            more.as_secs_f64() * 1e3,
        );
    }
}
