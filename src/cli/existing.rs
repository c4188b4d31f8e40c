//! `import users --existing`: users whom Mesibo had before the directory.

use std::io::{self, Write as _};

use clap::ArgMatches;

use super::{Failure, bulk, command, store};
use crate::{
    bulk::{ExistingJob, add_existing, check_existing, say},
    config::{ExistingConfig, settings},
    store::DirectDirectory,
};

/// A file of users whom Mesibo had before.
#[derive(Debug)]
pub struct Existing {
    config: ExistingConfig,
    job: ExistingJob,
    verify: bool,
    dry_run: bool,
}

impl Existing {
    /// What the command line asks for.
    pub(super) fn new(matches: &ArgMatches, config: ExistingConfig) -> Self {
        let (file, format) = bulk::file_and_format(matches);
        Self {
            job: ExistingJob {
                file,
                format,
                app: config.client.app.clone().unwrap_or_default(),
                rate: matches.get_one(command::RATE).copied(),
            },
            config,
            verify: matches.get_flag(command::VERIFY),
            dry_run: matches.get_flag(command::DRY_RUN),
        }
    }
}

/// Adds the users of a file to the directory, or checks its rows.
pub(super) async fn run(existing: Existing) -> Result<(), Failure> {
    let Existing {
        config,
        job,
        verify,
        dry_run,
    } = existing;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if dry_run {
        let checked = check_existing(&job, &mut out);
        return bulk::checked_rows(checked, out.flush());
    }
    if job.app.is_empty() {
        return Err(Failure::wrong(format_args!(
            "{}: expected the name of the app that the users are of, with --{}",
            settings::APP.name(),
            command::EXISTING
        )));
    }
    let database = store::of_database(config.store, "memory has no directory")?;
    let server = if verify {
        Some(bulk::reach(&config.client).await?)
    } else {
        bulk::warn(&config.client);
        None
    };
    let directory = DirectDirectory::open(&database)
        .await
        .map_err(Failure::new)?;
    let added = add_existing(&job, &directory, server.as_ref(), &mut out).await;
    let flushed = out.flush();
    directory.close().await;
    let summary = added.map_err(Failure::new)?;
    flushed.map_err(|error| Failure::of("cannot write", &error))?;
    say(&summary.to_string());
    match summary.not_added() {
        0 => Ok(()),
        rows => Err(Failure::new(format_args!(
            "{rows} rows are not in the directory"
        ))),
    }
}
