//! Properties that are tried with random inputs: a few in every run of the tests, and for
//! `FUZZ_SECONDS` each where that is set.

use std::{
    env,
    fmt::Debug,
    time::{Duration, Instant},
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseResult, TestRunner},
};

/// Asserts that a property holds for whatever a strategy gives.
pub(crate) fn holds<S: Strategy<Value: Debug>>(
    strategy: &S,
    property: impl Fn(S::Value) -> TestCaseResult,
) {
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    loop {
        let run = runner.run(strategy, &property);
        run.unwrap_or_else(|failure| panic!("{failure}"));
        if Instant::now() >= end {
            return;
        }
    }
}
