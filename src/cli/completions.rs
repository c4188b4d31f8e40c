//! `completions`: prints the completions of a shell.

use clap_complete::Shell;

use super::command::grammar;

/// Prints the completions of a shell.
pub(super) fn run(shell: Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut grammar(), env!("CARGO_PKG_NAME"), &mut text);
    super::print(&String::from_utf8_lossy(&text));
}
