//! `import users` and `send`: files of users and messages, by the thousand.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use tonic::{Request, service::Interceptor as _};

use super::{
    Failure,
    client::{Credentials, connect},
    command,
};
use crate::{
    bulk::{self, Format, Job, Kind, Server, messages::Messages, say, users::Users},
    config::ClientConfig,
};

/// What the name of a file of results ends with.
const RESULTS: &str = ".results.csv";

/// The names of files of JSON Lines end so.
const JSON_LINES: [&str; 2] = ["jsonl", "ndjson"];

/// A file to send, or to check.
#[derive(Debug)]
pub struct Bulk {
    client: ClientConfig,
    job: Job,
    dry_run: bool,
    kind: FileKind,
}

/// What a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Users,
    Messages,
}

impl Bulk {
    /// What the command line asks for.
    pub(super) fn new(kind: FileKind, matches: &ArgMatches, client: ClientConfig) -> Self {
        let (file, format) = file_and_format(matches);
        let named = matches.get_one::<PathBuf>(command::RESULTS).cloned();
        let beside = file.as_ref().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(RESULTS);
            PathBuf::from(name)
        });
        Self {
            client,
            job: Job {
                format,
                results: named.or(beside).filter(|path| path != Path::new("-")),
                file,
                rate: matches.get_one(command::RATE).copied(),
                secrets: kind == FileKind::Messages || !matches.get_flag(command::NO_TOKENS),
            },
            dry_run: matches.get_flag(command::DRY_RUN),
            kind,
        }
    }
}

/// The file of a command, if it is none of the standard streams, and how it has its rows.
pub(super) fn file_and_format(matches: &ArgMatches) -> (Option<PathBuf>, Format) {
    let file: PathBuf = super::argument(matches, command::FILE);
    let file = Some(file).filter(|file| file != Path::new("-"));
    let named = matches.get_one::<String>(command::FORMAT);
    let format = match named.map(String::as_str) {
        Some("jsonl") => Format::JsonLines,
        Some(_) => Format::Csv,
        None => format_of(file.as_deref()),
    };
    (file, format)
}

/// How a file of this name has its rows.
fn format_of(file: Option<&Path>) -> Format {
    let extension = file.and_then(Path::extension);
    let is_json = |extension| JSON_LINES.iter().any(|name| extension == *name);
    if extension.is_some_and(is_json) {
        Format::JsonLines
    } else {
        Format::Csv
    }
}

/// Sends the rows of a file, or checks them.
pub(super) async fn run(bulk: Bulk) -> Result<(), Failure> {
    match bulk.kind {
        FileKind::Users => send::<Users>(bulk).await,
        FileKind::Messages => send::<Messages>(bulk).await,
    }
}

async fn send<K: Kind>(bulk: Bulk) -> Result<(), Failure> {
    let Bulk {
        client,
        job,
        dry_run,
        ..
    } = bulk;
    if dry_run {
        return check::<K>(&job);
    }
    let server = reach(&client).await?;
    let summary = bulk::transfer::<K>(&job, &server)
        .await
        .map_err(Failure::new)?;
    say(&summary.to_string());
    if let Some(results) = &job.results {
        say(&format!("results are in {}", results.display()));
    }
    if summary.stopped {
        return Err(Failure::new("stopped; the same command goes on from here"));
    }
    match summary.counts.not_ok() {
        0 => Ok(()),
        rows => Err(Failure::new(format_args!("{rows} rows are not done"))),
    }
}

/// Says what is doubtful in the settings of a command.
pub(super) fn warn(client: &ClientConfig) {
    for warning in &client.warnings {
        say(&format!("warning: {warning}"));
    }
}

/// The server of a command, once there is a connection to it.
pub(super) async fn reach(client: &ClientConfig) -> Result<Server, Failure> {
    warn(client);
    let url = &client.server.url;
    let connected = tokio::time::timeout(client.deadline, connect(&client.server)).await;
    let channel = connected
        .unwrap_or_else(|_| Err(format!("it does not answer within {:?}", client.deadline)))
        .map_err(|why| Failure::new(format_args!("cannot call {url}: {why}")))?;
    let request = Credentials::new(client).call(Request::new(()));
    let request = request.expect("it adds metadata, and refuses nothing");
    Ok(Server {
        channel,
        metadata: request.into_parts().0,
    })
}

fn check<K: Kind>(job: &Job) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let checked = bulk::check::<K>(job.file.as_deref(), job.format, &mut out);
    checked_rows(checked, out.flush())
}

/// Says how many rows were checked, and how many of them have mistakes.
pub(super) fn checked_rows(
    checked: Result<(u64, u64), String>,
    flushed: io::Result<()>,
) -> Result<(), Failure> {
    let (rows, mistaken) = checked.map_err(Failure::new)?;
    flushed.map_err(|error| Failure::of("cannot write", &error))?;
    say(&format!("{rows} rows, {mistaken} of them with mistakes"));
    match mistaken {
        0 => Ok(()),
        rows => Err(Failure::new(format_args!("{rows} rows have mistakes"))),
    }
}
