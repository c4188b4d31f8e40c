//! `check`: what `serve` would do before it serves, without a port.

use super::Failure;
use crate::{
    check,
    config::{Config, Mistakes},
};

/// What to check, and how to tell.
#[derive(Debug)]
pub struct Check {
    /// The settings of `serve`, or what is wrong with them.
    pub settings: Result<Config, Mistakes>,
    /// Whether to make one call to Mesibo for each app.
    pub online: bool,
    /// Whether to print an object for programs in the place of lines for people.
    pub is_json: bool,
}

/// Checks, prints what was found, and fails if `serve` would.
pub(super) async fn run(check: Check) -> Result<(), Failure> {
    let report = check::check(check.settings, check.online).await;
    super::print(&if check.is_json {
        report.to_json()
    } else {
        report.to_string()
    });
    match report.exit_status() {
        0 => Ok(()),
        status => Err(Failure::told(status)),
    }
}
