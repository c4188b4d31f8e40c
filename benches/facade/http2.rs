//! What calls cost by HTTP/2 to Mesibo beside those by HTTP/1.1.

use crate::{
    Effort,
    identity::Identity,
    load::{Figures, Load, ratio},
    servers::{facade, of_role},
};

/// The calls in flight, and over how many connections they come.
const LOADS: [Load; 3] = [
    Load::closed(1, 1),
    Load::closed(64, 4),
    Load::closed(2_048, 16),
];

/// Measures both in turn, and prints the figures.
pub async fn measure(effort: Effort, identity: Option<&Identity>) {
    let sides = [("http1", "messages"), ("http2", "http2")].map(|(protocol, backend)| {
        let backend = of_role(&["backend", backend], identity);
        // A caller may have half of what may be in flight.
        let settings =
            format!("upstream-protocol = \"{protocol}\"\nupstream-max-in-flight = 4096\n");
        let (server, settings) = facade(&backend, 1, &settings, identity);
        (server, settings, backend)
    });
    println!("| in flight | HTTP | calls a second | p50 | p99.9 | CPU a call | peak memory |");
    println!("|---|---|---|---|---|---|---|");
    for load in LOADS {
        let mut all = [const { Vec::new() }; 2];
        for _ in 0..effort.rounds {
            for ((server, ..), figures) in sides.iter().zip(&mut all) {
                load.run(server, effort.time / 10).await;
                figures.push(load.run(server, effort.time).await);
            }
        }
        let [http1, http2] = all.map(|figures| Figures::median(&figures));
        for (name, figures) in [("1.1", http1), ("2", http2)] {
            println!(
                "| {} | {name} | {:.0} ({:.2}) | {:.0} µs | {:.0} µs | {:.1} µs ({:.2}) | {:.1} MiB |",
                load.in_flight,
                figures.rate,
                figures.rate / http1.rate,
                figures.p50.as_secs_f64() * 1e6,
                figures.p999.as_secs_f64() * 1e6,
                figures.cpu.as_secs_f64() * 1e6,
                ratio(figures.cpu, http1.cpu),
                figures.memory,
            );
        }
    }
}
