//! The processor time of a call beside that of another build of the program: side by side,
//! in one run, so that the load of the machine affects both.

use std::time::Duration;

use crate::{
    load::{Load, ratio},
    process::{PROGRAM, Server, settings},
};

/// Pairs of measurements.
const ROUNDS: usize = 15;

const TIME: Duration = Duration::from_secs(2);

/// Prints the ratio of each pair to the program at `other`, in order.
pub async fn measure(other: &str) {
    let backend = Server::of_role(&["backend"]);
    let settings = settings(1, "");
    let this = Server::facade(PROGRAM, &backend.url(), &settings);
    let other = Server::facade(other, &backend.url(), &settings);
    let load = Load::closed(64, 4);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        for server in [&this, &other] {
            load.run(server, TIME / 10).await;
        }
        let (one, two) = (load.run(&this, TIME).await, load.run(&other, TIME).await);
        ratios.push(ratio(one.cpu, two.cpu));
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!("processor time of a call beside the other build: {median:.3}, of {ratios:.3?}");
}
