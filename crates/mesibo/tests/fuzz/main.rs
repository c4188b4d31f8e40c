//! The form and the reply, with whatever may come. `FUZZ_SECONDS` is how long each test goes
//! on, and a moment if it is not set.

use std::{
    env,
    time::{Duration, Instant},
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};

mod form;
mod reply;
mod tree;

/// Tests a property of random values until the time is up.
fn fuzz<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = env::var("FUZZ_SECONDS").map_or(0, |seconds| {
        seconds.parse().expect("FUZZ_SECONDS is a whole number")
    });
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    loop {
        if let Err(error) = runner.run(strategy, &property) {
            panic!("{error}");
        }
        if Instant::now() >= end {
            break;
        }
    }
}
