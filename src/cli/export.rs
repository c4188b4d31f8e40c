//! `export users`: the users of a server's directory, as a file.

use clap::ArgMatches;

use super::{
    Failure,
    bulk::{file_and_format, reach},
};
use crate::{
    bulk::{self, say},
    config::ClientConfig,
};

/// A file to write.
#[derive(Debug)]
pub struct Export {
    client: ClientConfig,
    export: bulk::Export,
}

impl Export {
    /// What the command line asks for.
    pub(super) fn new(matches: &ArgMatches, client: ClientConfig) -> Self {
        let (file, format) = file_and_format(matches);
        let export = bulk::Export {
            file,
            format,
            deadline: client.deadline,
        };
        Self { client, export }
    }
}

/// Writes the file.
pub(super) async fn run(export: Export) -> Result<(), Failure> {
    let Export { client, export } = export;
    let server = reach(&client).await?;
    let users = bulk::export(&export, &server).await.map_err(Failure::new)?;
    match &export.file {
        Some(file) => say(&format!("{users} users are in {}", file.display())),
        None => say(&format!("{users} users")),
    }
    Ok(())
}
