//! Writes the users of a server's directory to a file, page by page.
//!
//! Reading changes nothing, so a page that was lost is asked for again. A file is written
//! beside the one that it becomes, and takes its place when it is whole.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use csv::WriterBuilder;
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, interval, sleep},
};
use tonic::{Request, Status};

use super::{
    progress::{INTERVAL, Progress},
    rows::Format,
    server::{Attempts, Server, text_of},
};
use crate::{
    proto::{
        EntryState, SearchUsersRequest, SearchUsersResponse, UserEntry,
        directory_service_client::DirectoryServiceClient,
    },
    service,
};

/// The columns of a CSV file, and the names in an object.
const COLUMNS: [&str; 8] = [
    "uid", "address", "name", "active", "flags", "state", "created", "changed",
];

/// What is to be written, and how.
#[derive(Clone, Debug)]
pub struct Export {
    /// The file; standard output if there is none.
    pub file: Option<PathBuf>,
    /// How it has its rows.
    pub format: Format,
    /// How long the answer with a page may take.
    pub deadline: Duration,
}

/// A user as a row. The order is that of [`COLUMNS`].
#[derive(Serialize)]
struct Row<'a> {
    /// In digits, since a number of JSON above 2^53 is not the same to every reader.
    uid: Option<String>,
    address: Option<&'a str>,
    name: Option<&'a str>,
    active: Option<bool>,
    flags: Option<u32>,
    state: &'static str,
    created: Option<String>,
    changed: Option<String>,
}

/// Where rows go.
enum Output {
    Stdout(io::Stdout),
    /// A file that is not whole, and what it becomes. It is removed if it does not.
    File {
        part: NamedTempFile,
        path: PathBuf,
    },
}

/// The pages of a directory.
struct Pages<'a> {
    server: &'a Server,
    deadline: Duration,
    progress: Progress,
    lines: Interval,
    interrupt: Signal,
    terminate: Signal,
}

/// Writes all users of the directory, and says how many there are.
///
/// # Errors
///
/// If the file cannot be written, a page cannot be had, or a signal comes. A file is then
/// as it was before.
pub async fn export(export: &Export, server: &Server) -> Result<u64, String> {
    let cannot_wait = |error: io::Error| format!("cannot wait for signals: {error}");
    let mut output = Output::open(export.file.as_deref())?;
    output.write(&begin(export.format))?;
    let mut lines = interval(INTERVAL);
    lines.reset();
    let mut pages = Pages {
        server,
        deadline: export.deadline,
        progress: Progress::new(None, 0),
        lines,
        interrupt: signal(SignalKind::interrupt()).map_err(cannot_wait)?,
        terminate: signal(SignalKind::terminate()).map_err(cannot_wait)?,
    };
    let written = pages.write(export.format, &mut output).await;
    pages.progress.end();
    let count = written?;
    output.finish()?;
    Ok(count)
}

impl Pages<'_> {
    /// Writes the users of all pages, and counts them.
    async fn write(&mut self, format: Format, output: &mut Output) -> Result<u64, String> {
        let mut count = 0;
        let mut page_token = String::new();
        loop {
            let page = self.page(page_token).await?;
            output.write(&rows(&page.users, format))?;
            let users = page.users.len() as u64;
            self.progress.add_rows(users);
            count += users;
            if page.next_page_token.is_empty() {
                return Ok(count);
            }
            page_token = page.next_page_token;
        }
    }

    /// A page, however often it takes.
    async fn page(&mut self, page_token: String) -> Result<SearchUsersResponse, String> {
        let mut attempts = Attempts::default();
        loop {
            let asked = ask(self.server, self.deadline, page_token.clone());
            let status = match self.during(asked).await? {
                Ok(page) => return Ok(page),
                Err(status) => status,
            };
            let why = text_of(&status);
            let Some(pause) = attempts.fail(&status) else {
                return Err(why);
            };
            let again = humantime::format_duration(pause);
            let note = format!("{why}; the page is asked for again in {again}");
            self.progress.note(&note);
            self.during(sleep(pause)).await?;
        }
    }

    /// Waits for something. A signal is an error.
    async fn during<T>(&mut self, waited_for: impl Future<Output = T>) -> Result<T, String> {
        let mut waited_for = std::pin::pin!(waited_for);
        loop {
            tokio::select! {
                done = &mut waited_for => return Ok(done),
                _ = self.interrupt.recv() => return Err("stopped".into()),
                _ = self.terminate.recv() => return Err("stopped".into()),
                _ = self.lines.tick() => self.progress.line(),
            }
        }
    }
}

/// Asks for the page of a token.
async fn ask(
    server: &Server,
    deadline: Duration,
    page_token: String,
) -> Result<SearchUsersResponse, Status> {
    let mut request = Request::new(SearchUsersRequest {
        page_size: service::MAX_PAGE_SIZE,
        page_token,
        ..SearchUsersRequest::default()
    });
    *request.metadata_mut() = server.metadata.clone();
    request.set_timeout(deadline);
    let mut directory = DirectoryServiceClient::new(server.channel.clone());
    Ok(directory.search_users(request).await?.into_inner())
}

/// What comes before the rows.
fn begin(format: Format) -> Vec<u8> {
    match format {
        Format::Csv => (COLUMNS.join(",") + "\n").into_bytes(),
        Format::JsonLines => Vec::new(),
    }
}

/// Users as rows.
fn rows(users: &[UserEntry], format: Format) -> Vec<u8> {
    let mut text = Vec::new();
    match format {
        Format::Csv => {
            let mut writer = WriterBuilder::new()
                .has_headers(false)
                .from_writer(&mut text);
            for user in users {
                let written = writer.serialize(Row::of(user));
                written.expect("a row has values alone, and memory takes everything");
            }
            writer.flush().expect("memory takes everything");
        }
        Format::JsonLines => {
            for user in users {
                let written = serde_json::to_writer(&mut text, &Row::of(user));
                written.expect("a row has values alone, and memory takes everything");
                text.push(b'\n');
            }
        }
    }
    text
}

impl<'a> Row<'a> {
    fn of(user: &'a UserEntry) -> Self {
        Self {
            uid: user.uid.map(|uid| uid.to_string()),
            address: user.address.as_deref(),
            name: user.name.as_deref(),
            active: user.active,
            flags: user.flags,
            state: match user.state() {
                EntryState::Unspecified => "",
                EntryState::Confirmed => "confirmed",
                EntryState::Uncertain => "uncertain",
            },
            created: user.created.map(|time| time.to_string()),
            changed: user.changed.map(|time| time.to_string()),
        }
    }
}

impl Output {
    /// Prepares a file, or standard output.
    fn open(file: Option<&Path>) -> Result<Self, String> {
        let Some(file) = file else {
            return Ok(Self::Stdout(io::stdout()));
        };
        // The file that a link names is replaced, not the link.
        let path = match fs::canonicalize(file) {
            Ok(path) if path.is_file() => path,
            Ok(_) => {
                return Err(format!(
                    "cannot write {}: it is no regular file; - is standard output",
                    file.display()
                ));
            }
            Err(_) => file.to_owned(),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Only its owner may read it, for addresses and names are personal.
        let part = tempfile::Builder::new().suffix(".part").tempfile_in(folder);
        let part = part.map_err(|error| cannot_write(&path, &error))?;
        Ok(Self::File { part, path })
    }

    fn write(&mut self, rows: &[u8]) -> Result<(), String> {
        match self {
            Self::Stdout(stdout) => stdout
                .write_all(rows)
                .and_then(|()| stdout.flush())
                .map_err(|error| cannot_write(Path::new("to standard output"), &error)),
            Self::File { part, path } => part
                .write_all(rows)
                .map_err(|error| cannot_write(path, &error)),
        }
    }

    /// Gives a whole file its name.
    fn finish(self) -> Result<(), String> {
        let Self::File { part, path } = self else {
            return Ok(());
        };
        let synced = part.as_file().sync_all();
        synced.map_err(|error| cannot_write(&path, &error))?;
        let named = part.persist(&path);
        named.map_err(|error| cannot_write(&path, &error.error))?;
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use prost_types::Timestamp;

    use super::*;

    fn user() -> UserEntry {
        UserEntry {
            uid: Some(u64::MAX),
            address: Some("alice, the \"first\"".into()),
            name: Some("two\nlines".into()),
            active: Some(true),
            flags: None,
            state: EntryState::Uncertain.into(),
            created: Some(Timestamp::default()),
            changed: None,
        }
    }

    #[test]
    fn a_row_has_the_columns_in_their_order_in_either_format() {
        let text = [begin(Format::Csv), rows(&[user()], Format::Csv)].concat();
        let text = String::from_utf8(text).unwrap();
        let row = "18446744073709551615,\"alice, the \"\"first\"\"\",\"two\nlines\",true,,uncertain,\
                   1970-01-01T00:00:00Z,\n";
        let header = "uid,address,name,active,flags,state,created,changed\n";
        assert_eq!(text, [header, row].concat());

        let text = String::from_utf8(rows(&[user()], Format::JsonLines)).unwrap();
        let mut rest = &*text;
        for name in COLUMNS {
            let name = format!("\"{name}\":");
            let (_, behind) = rest.split_once(&name).unwrap();
            rest = behind;
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), COLUMNS.len());
        assert_eq!(value["uid"], "18446744073709551615");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn a_file_is_replaced_when_it_is_whole_and_stays_as_it_was_if_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["users.csv", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut output = Output::open(Some(&link)).unwrap();
        output.write(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read(&file).unwrap(), b"before");

        let mut output = Output::open(Some(&link)).unwrap();
        output.write(b"whole").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"whole");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

        let refused = Output::open(Some(folder.path())).err().unwrap();
        assert!(refused.contains("no regular file"), "{refused}");
    }
}
