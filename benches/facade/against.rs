//! The processor time of a call beside that of another build of the program: side by side,
//! in one run, so that the load of the machine affects both.

use std::time::Duration;

use crate::{
    load::{Load, ratio},
    process::{PROGRAM, Server, settings},
};

/// Pairs of measurements: many short ones, for a disturbance moves a pair by a fifth, and
/// the median by a tenth of that.
const ROUNDS: usize = 150;

const TIME: Duration = Duration::from_millis(500);

/// Prints the median ratio to the program at `other`, and between what half of all ratios
/// are.
pub async fn measure(other: &str) {
    let backend = Server::of_role(&["backend", "messages"]);
    let settings = settings(1, "");
    let this = Server::facade(PROGRAM, &backend.url(), &settings);
    let other = Server::facade(other, &backend.url(), &settings);
    let load = Load::closed(64, 4);
    for server in [&this, &other] {
        load.run(server, Duration::from_secs(2)).await;
    }
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Neither is always the first.
        let (one, two) = if round % 2 == 0 {
            let one = load.run(&this, TIME).await;
            (one, load.run(&other, TIME).await)
        } else {
            let two = load.run(&other, TIME).await;
            (load.run(&this, TIME).await, two)
        };
        ratios.push(ratio(one.cpu, two.cpu));
    }
    ratios.sort_by(f64::total_cmp);
    let [low, median, high] = [1, 2, 3].map(|quarter| ratios[ROUNDS * quarter / 4]);
    println!(
        "processor time of a call beside the other build: {median:.3}, and half of {ROUNDS} \
         pairs between {low:.3} and {high:.3}"
    );
}
