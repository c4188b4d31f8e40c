//! How long a start takes.

use std::time::{Duration, Instant};

use crate::{
    load,
    process::{PROGRAM, Server, settings},
};

/// The median time from the start of the facade's process to its first answer.
pub async fn time_to_first_answer(starts: usize) -> Duration {
    let backend = Server::of_role(&["backend", "messages"]);
    let settings = settings(1, "");
    let mut times = Vec::new();
    for _ in 0..starts {
        let begun = Instant::now();
        let server = Server::facade(PROGRAM, &backend.url(), &settings);
        load::first_answer(&server).await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}
