//! Calls as production has them, with TLS to the caller and to the backend.

use crate::{
    Effort,
    identity::Identity,
    load::{Figures, ratio},
    servers::{Kind, Servers},
    tables,
};

/// Measures all servers, and prints the figures with their bars.
pub async fn measure(effort: Effort, identity: &Identity) {
    let servers = Servers::start(1, "", Some(identity));
    let tables = tables(&servers, effort).await;
    let of = |figures: &[Figures; 3]| {
        (
            figures[Kind::Facade as usize],
            figures[Kind::Plain as usize],
        )
    };
    let (facade, plain) = of(&tables.busy);
    println!("\n| figure, TLS on both sides | bar | measured |\n|---|---|---|");
    println!(
        "| CPU a call, 64 in flight, to plain | at most 0.6 | {:.2} |",
        ratio(facade.cpu, plain.cpu)
    );
    println!(
        "| calls a second, 64 in flight, to plain | at least 1.5 | {:.2} |",
        facade.rate / plain.rate
    );
    let (facade, plain) = of(&tables.paced);
    println!(
        "| p99.9 at half of the top rate, to plain | at most 0.9 | {:.2} |",
        ratio(facade.p999, plain.p999)
    );
}
