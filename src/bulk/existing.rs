//! Files of users whom Mesibo had before the directory: they go into the database directly,
//! and are asked for at Mesibo, through a running server, if that is wanted.
//!
//! A row that is there already changes nothing, so the same command may be repeated.

use std::{
    collections::HashSet,
    fmt,
    io::{BufRead, Write},
    path::PathBuf,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use tonic::{Request, Status};

use super::{
    kind::Values,
    progress::{INTERVAL, Progress},
    rows::{Column, Format, Mistake, Row, Rows},
    server::{Attempts, Server, text_of},
    source,
};
use crate::{
    proto::{ListUsersRequest, User, user_service_client::UserServiceClient},
    service,
    store::{
        DirectDirectory,
        directory::{Conflict, ExistingUser},
    },
};

/// Those of `export users`, of which the last three are not used.
const COLUMNS: &[Column] = &[
    Column::required("uid"),
    Column::required("address"),
    Column::optional("name"),
    Column::optional("active"),
    Column::optional("flags"),
    Column::optional("state"),
    Column::optional("created"),
    Column::optional("changed"),
];

/// How many users are written together.
const BATCH: usize = 1_000;

/// How many users are asked for at a time.
const IN_FLIGHT: usize = 16;

/// Stands for any text in an address that Mesibo is asked for.
const WILDCARD: char = '*';

/// What to do with a file.
#[derive(Debug)]
pub struct ExistingJob {
    /// The file, if it is not standard input.
    pub file: Option<PathBuf>,
    /// How it has its rows.
    pub format: Format,
    /// The name of the app that the users are of.
    pub app: String,
    /// Most users a second that are asked for.
    pub rate: Option<f64>,
}

/// What became of the rows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExistingSummary {
    /// Users that the directory has as the file says.
    pub added: u64,
    /// Users whom Mesibo or the directory has otherwise, or that could not be asked for.
    pub refused: u64,
    /// Rows that are wrong.
    pub invalid: u64,
}

/// A row that is a user.
struct Line {
    number: u64,
    user: ExistingUser,
}

/// A file that is read, whose rows are told of by their lines.
struct Reading<'a, W> {
    name: String,
    rows: Rows<Box<dyn BufRead + Send>>,
    /// The first user that is not of the batch before it.
    next: Option<Line>,
    out: &'a mut W,
    summary: ExistingSummary,
    progress: Progress,
    told: Instant,
}

impl ExistingSummary {
    /// How many rows are not in the directory as the file says.
    #[must_use]
    pub fn not_added(self) -> u64 {
        self.refused + self.invalid
    }
}

impl fmt::Display for ExistingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.added + self.not_added();
        write!(f, "{rows} rows: {} are in the directory", self.added)?;
        for (count, what) in [(self.refused, "are not"), (self.invalid, "invalid")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Adds the users of a file to the directory, after Mesibo was asked for them if there is a
/// server to ask. Writes which rows are not added, and why.
///
/// # Errors
///
/// If the file, the database or the server cannot be used, or nothing can be written.
pub async fn add_existing(
    job: &ExistingJob,
    directory: &DirectDirectory,
    server: Option<&Server>,
    out: &mut impl Write,
) -> Result<ExistingSummary, String> {
    let mut reading = Reading::open(job, out)?;
    let mut pace = job.rate.map(|rate| {
        let mut pace = interval(Duration::from_secs_f64(rate.recip()));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    loop {
        let mut batch = reading.batch()?;
        if batch.is_empty() {
            break;
        }
        if let Some(server) = server {
            batch = reading.verified(batch, server, &mut pace).await?;
        }
        let (numbers, users): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|it| (it.number, it.user)).unzip();
        let conflicts = directory
            .add_existing(&job.app, &users, server.is_some())
            .await;
        let conflicts = conflicts.map_err(|error| error.to_string())?;
        for conflict in &conflicts {
            reading.refuse(numbers[conflict.index], &conflict_text(conflict))?;
        }
        reading.added(users.len() - conflicts.len());
    }
    reading.progress.end();
    Ok(reading.summary)
}

/// Checks every row of a file, and adds nothing.
///
/// # Errors
///
/// As [`add_existing`].
pub fn check_existing(job: &ExistingJob, out: &mut impl Write) -> Result<(u64, u64), String> {
    let mut reading = Reading::open(job, out)?;
    let mut users = 0;
    loop {
        let batch = reading.batch()?;
        if batch.is_empty() {
            break;
        }
        users += batch.len() as u64;
    }
    let invalid = reading.summary.invalid;
    Ok((users + invalid, invalid))
}

impl<'a, W: Write> Reading<'a, W> {
    fn open(job: &ExistingJob, out: &'a mut W) -> Result<Self, String> {
        let file = job.file.as_deref();
        let name = source::name(file);
        let wrong = |error| format!("cannot read {name}: {error}");
        let reader = source::open(file).map_err(wrong)?;
        let rows = Rows::new(reader, job.format, COLUMNS).map_err(wrong)?;
        let rows = rows.map_err(|what| format!("{name}: {what}"))?;
        Ok(Self {
            name,
            rows,
            next: None,
            out,
            summary: ExistingSummary::default(),
            progress: Progress::new(None, 0),
            told: Instant::now(),
        })
    }

    /// The next users, of whom no two have a uid or an address in common. Rows that are wrong
    /// are told.
    fn batch(&mut self) -> Result<Vec<Line>, String> {
        let (mut uids, mut addresses) = (HashSet::new(), HashSet::new());
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let line = match self.next.take() {
                Some(line) => line,
                None => match self.read()? {
                    Some(line) => line,
                    None => break,
                },
            };
            let user = &line.user;
            if uids.contains(&user.uid) || addresses.contains(&user.address) {
                self.next = Some(line);
                break;
            }
            uids.insert(user.uid);
            addresses.insert(user.address.clone());
            batch.push(line);
        }
        Ok(batch)
    }

    /// The next row that is a user.
    fn read(&mut self) -> Result<Option<Line>, String> {
        loop {
            let row = self.rows.next();
            let row = row.map_err(|error| format!("cannot read {}: {error}", self.name))?;
            let Some(row) = row else {
                return Ok(None);
            };
            let number = row.line;
            match user_of(row) {
                Ok(user) => return Ok(Some(Line { number, user })),
                Err(mistakes) => {
                    self.summary.invalid += 1;
                    self.progress.add(false);
                    for mistake in mistakes {
                        self.tell(number, &mistake.to_string())?;
                    }
                }
            }
        }
    }

    /// Those whom Mesibo has as the file says. The others are told.
    async fn verified(
        &mut self,
        batch: Vec<Line>,
        server: &Server,
        pace: &mut Option<Interval>,
    ) -> Result<Vec<Line>, String> {
        let paced = stream::unfold((batch.into_iter(), pace), async |(mut batch, pace)| {
            let line = batch.next()?;
            if let Some(pace) = pace.as_mut() {
                pace.tick().await;
            }
            Some((line, (batch, pace)))
        });
        let asked = paced.map(async |line| {
            let verdict = verify(server, &line.user).await;
            (line, verdict)
        });
        let mut asked = std::pin::pin!(asked.buffered(IN_FLIGHT));
        let mut verified = Vec::new();
        while let Some((line, verdict)) = asked.next().await {
            match verdict? {
                None => verified.push(line),
                Some(why) => self.refuse(line.number, &why)?,
            }
            self.show();
        }
        Ok(verified)
    }

    fn refuse(&mut self, line: u64, why: &str) -> Result<(), String> {
        self.summary.refused += 1;
        self.progress.add(false);
        self.tell(line, why)
    }

    fn added(&mut self, count: usize) {
        self.summary.added += count as u64;
        self.progress.add_rows(count as u64);
        self.show();
    }

    fn show(&mut self) {
        if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            self.progress.line();
        }
    }

    fn tell(&mut self, line: u64, what: &str) -> Result<(), String> {
        let written = writeln!(self.out, "{}:{line}: {what}", self.name);
        written.map_err(|error| format!("cannot write: {error}"))
    }
}

/// The user of a row, or all that is wrong with it.
fn user_of(row: Row) -> Result<ExistingUser, Vec<Mistake>> {
    let mut values = Values::new(COLUMNS, row.values.map_err(|mistake| vec![mistake])?);
    let uid = values.number("uid", &u64::MAX);
    let user = ExistingUser {
        uid: uid.unwrap_or_default(),
        address: values.text("address").unwrap_or_default(),
        name: values.text("name"),
        active: values.flag("active"),
        flags: values.number("flags", &u32::MAX),
    };
    let mut mistakes = values.mistakes;
    for (field, what) in service::user::existing_problems(user.uid, &user.address) {
        // A value that is no number at all breaks the rule as well.
        if mistakes.iter().all(|mistake| mistake.column != field) {
            mistakes.push(Mistake::new(&field, what));
        }
    }
    if mistakes.is_empty() {
        Ok(user)
    } else {
        Err(mistakes)
    }
}

/// Asks Mesibo for a user. Gives what is otherwise there, or why nobody can ask for it.
///
/// # Errors
///
/// If the server does not answer, or refuses, for as long as it is worth asking.
async fn verify(server: &Server, user: &ExistingUser) -> Result<Option<String>, String> {
    if user.address.contains(WILDCARD) {
        let why = "Mesibo takes the * in the address for a wildcard: it cannot be asked for";
        return Ok(Some(why.into()));
    }
    let mut attempts = Attempts::default();
    loop {
        let status = match list(server, &user.address).await {
            Ok(users) => return Ok(difference(user, &users)),
            Err(status) => status,
        };
        match attempts.fail(&status) {
            Some(pause) => sleep(pause).await,
            None => return Err(text_of(&status)),
        }
    }
}

async fn list(server: &Server, address: &str) -> Result<Vec<User>, Status> {
    let mut request = Request::new(ListUsersRequest {
        address_pattern: Some(address.into()),
        ..ListUsersRequest::default()
    });
    *request.metadata_mut() = server.metadata.clone();
    let mut users = UserServiceClient::new(server.channel.clone());
    Ok(users.list_users(request).await?.into_inner().users)
}

/// What Mesibo has otherwise.
fn difference(user: &ExistingUser, listed: &[User]) -> Option<String> {
    let mut listed = listed.iter();
    let found = listed.find(|it| it.address.as_deref() == Some(&user.address));
    match found.map(|found| found.uid) {
        None => Some("Mesibo has no user of this address".into()),
        Some(uid) if uid == Some(user.uid) => None,
        Some(Some(uid)) => Some(format!("Mesibo has the uid {uid} for this address")),
        Some(None) => Some("Mesibo does not tell the uid of this address".into()),
    }
}

fn conflict_text(conflict: &Conflict) -> String {
    let Conflict { uid, address, .. } = conflict;
    match (uid, address) {
        (Some(uid), _) => format!("the directory has the uid {uid} for this address"),
        (None, Some(address)) => format!("the directory has this uid for the address {address:?}"),
        (None, None) => "a write of this user is under way".into(),
    }
}
