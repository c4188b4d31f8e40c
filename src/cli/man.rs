//! `man`: writes the manual pages.

use std::path::Path;

use super::{Failure, command::grammar};

/// Writes the manual pages to a folder, one for each command.
pub(super) fn run(folder: &Path) -> Result<(), Failure> {
    let grammar = grammar().disable_help_subcommand(true);
    clap_mangen::generate_to(grammar, folder).map_err(|error| {
        Failure::wrong(format_args!(
            "cannot write to {}: {error}",
            folder.display()
        ))
    })
}
