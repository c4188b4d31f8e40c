//! What the facade must reach.

use std::time::Duration;

use crate::{
    load::{Figures, ratio},
    servers::Kind,
};

/// How much worse than its bar a figure may be on a noisy machine.
const TOLERANCE: f64 = 2.0;

/// One bar.
struct Bar {
    figure: &'static str,
    limit: f64,
    /// Whether more is better.
    is_least: bool,
    unit: &'static str,
    measured: f64,
}

/// Prints what was reached, and tells whether nothing is worse than twice its bar.
pub fn check(
    busy: &[Figures; 3],
    alone: &[Figures; 3],
    paced: &[Figures; 3],
    start: Duration,
) -> bool {
    let of = |figures: &[Figures; 3]| {
        let [plain, facade] = [Kind::Plain, Kind::Facade].map(|kind| figures[kind as usize]);
        (plain, facade)
    };
    let (plain, facade) = of(busy);
    let (plain_alone, facade_alone) = of(alone);
    let (plain_paced, facade_paced) = of(paced);
    let most = |figure, limit, unit, measured| Bar {
        figure,
        limit,
        is_least: false,
        unit,
        measured,
    };
    let bars = [
        most(
            "CPU a call, 64 in flight, to plain",
            0.85,
            "",
            ratio(facade.cpu, plain.cpu),
        ),
        Bar {
            figure: "calls a second, 64 in flight, to plain",
            limit: 1.15,
            is_least: true,
            unit: "",
            measured: facade.rate / plain.rate,
        },
        most(
            "p50 of one call at a time, to plain",
            1.05,
            "",
            ratio(facade_alone.p50, plain_alone.p50),
        ),
        most(
            "p99.9 at half of the top rate, to plain",
            1.0,
            "",
            ratio(facade_paced.p999, plain_paced.p999),
        ),
        most("peak memory under that load", 24.0, " MiB", facade.memory),
        most(
            "start to first answered call",
            50.0,
            " ms",
            start.as_secs_f64() * 1e3,
        ),
    ];
    println!("\n| figure | bar | measured | reached |\n|---|---|---|---|");
    for bar in &bars {
        println!(
            "| {} | {} {}{} | {:.2}{} | {} |",
            bar.figure,
            if bar.is_least { "at least" } else { "at most" },
            bar.limit,
            bar.unit,
            bar.measured,
            bar.unit,
            if bar.holds(1.0) { "yes" } else { "no" }
        );
    }
    bars.iter().all(|bar| bar.holds(TOLERANCE))
}

impl Bar {
    fn holds(&self, tolerance: f64) -> bool {
        if self.is_least {
            self.measured >= self.limit / tolerance
        } else {
            self.measured <= self.limit * tolerance
        }
    }
}
