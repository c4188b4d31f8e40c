//! The file of results: one line a row, written as answers come, so that a run that was
//! stopped can be taken up. If a row has several, the last holds.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use csv::{ReaderBuilder, StringRecord, Writer};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::kind::Kind;
use crate::proto::ItemStatus;

/// It may have the access tokens of users.
pub(super) const MODE: u32 = 0o600;

/// The columns before those of the kind.
const BEFORE: [&str; 4] = ["row", "line", "subject", "outcome"];

/// The columns behind those of the kind.
const AFTER: [&str; 4] = ["code", "reason", "message", "file"];

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was carried out.
    Ok,
    /// It was not carried out. Another run tries it again.
    Failed,
    /// It may have been carried out.
    Unknown,
    /// It is wrong, and always will be.
    Invalid,
}

/// How many rows came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were carried out.
    pub ok: u64,
    /// Rows that were not carried out, and are tried again by another run.
    pub failed: u64,
    /// Rows that may have been carried out.
    pub unknown: u64,
    /// Rows that are wrong.
    pub invalid: u64,
}

/// A set of the numbers of rows, with a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Rowset(Vec<u64>);

/// Writes results.
pub(super) struct Results<W: Write> {
    out: Writer<W>,
    is_flushed: bool,
    /// The digest of the file that the results are of.
    digest: String,
}

/// What earlier runs came to.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Rows that are not tried again.
    pub(super) done: Rowset,
    pub(super) counts: Counts,
}

/// What is told of a row.
pub(super) struct Told<'a> {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) subject: &'a str,
    pub(super) outcome: Outcome,
    /// The values of the kind's own columns.
    pub(super) values: &'a [String],
    pub(super) code: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Failed, Self::Unknown, Self::Invalid];

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }

    /// What became of an item with this status, and the reason that its details have.
    pub(super) fn of(status: &ItemStatus) -> (Self, String) {
        let details = prost::Message::encode_to_vec(status);
        let code = Code::from(status.code);
        let status = tonic::Status::with_details(code, "", details.into());
        let info = status.get_details_error_info();
        let (reason, metadata) = info.map(|it| (it.reason, it.metadata)).unwrap_or_default();
        let is_unknown = metadata.get("outcome").is_some_and(|it| it == "unknown");
        let outcome = if is_unknown {
            Self::Unknown
        } else if reason == "INVALID_REQUEST" {
            Self::Invalid
        } else {
            Self::Failed
        };
        (outcome, reason)
    }
}

impl Counts {
    pub(super) fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Failed => &mut self.failed,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Invalid => &mut self.invalid,
        } += 1;
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(self) -> u64 {
        self.ok + self.not_ok()
    }

    /// How many rows were not surely carried out.
    #[must_use]
    pub fn not_ok(self) -> u64 {
        self.failed + self.unknown + self.invalid
    }
}

impl Rowset {
    pub(super) fn has(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    fn place(number: u64) -> (usize, u64) {
        let word = usize::try_from(number / 64).expect("memory ends before");
        (word, 1 << (number % 64))
    }
}

/// The names of the columns.
fn header<K: Kind>() -> Vec<&'static str> {
    [&BEFORE[..], K::RESULTS, &AFTER].concat()
}

impl Results<File> {
    /// Opens the file of results, and reads what it has already. `digest` and `rows` are of
    /// the file that they are results of.
    pub(super) fn open<K: Kind>(
        path: &Path,
        digest: &str,
        rows: u64,
    ) -> Result<(Self, Earlier), String> {
        let shown = path.display();
        let wrong = |error: io::Error| format!("cannot write results to {shown}: {error}");
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true).mode(MODE);
        let mut file = options.open(path).map_err(wrong)?;
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(wrong)?;
        file.try_lock()
            .map_err(|_| format!("{shown}: another command is writing results to it"))?;
        cut_last_line(&mut file).map_err(wrong)?;
        let earlier = read::<K>(&file, digest, rows).map_err(|what| format!("{shown}: {what}"))?;
        let is_new = file.seek(SeekFrom::End(0)).map_err(wrong)? == 0;
        let mut results = Self::new(file, digest);
        if is_new {
            let begun = results.begin::<K>().and_then(|()| results.flush());
            begun.map_err(wrong)?;
        }
        Ok((results, earlier))
    }
}

impl<W: Write> Results<W> {
    /// Results that go elsewhere.
    pub(super) fn new(out: W, digest: &str) -> Self {
        Self {
            out: Writer::from_writer(out),
            is_flushed: true,
            digest: digest.to_owned(),
        }
    }

    /// Adds the header.
    pub(super) fn begin<K: Kind>(&mut self) -> io::Result<()> {
        self.is_flushed = false;
        write_line(&mut self.out, &header::<K>())
    }

    /// Adds a row, which is written by the next [`Self::flush`] at the latest.
    pub(super) fn add(&mut self, told: &Told<'_>) -> io::Result<()> {
        let (number, line) = (told.number.to_string(), told.line.to_string());
        let mut values = vec![&*number, &line, told.subject, told.outcome.name()];
        values.extend(told.values.iter().map(|value| &**value));
        self.is_flushed = false;
        values.extend([told.code, told.reason, told.message, &self.digest]);
        write_line(&mut self.out, &values)
    }

    /// Whether all that was added is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.is_flushed = true;
        self.out.flush()
    }
}

fn write_line(out: &mut Writer<impl Write>, values: &[&str]) -> io::Result<()> {
    for value in values {
        // A line that was cut short must be known by its end.
        if value.contains(char::is_control) {
            out.write_field(value.replace(char::is_control, " "))?;
        } else {
            out.write_field(value)?;
        }
    }
    out.write_record(None::<&[u8]>)?;
    Ok(())
}

/// Takes away the end of a file behind its last whole line.
fn cut_last_line(file: &mut File) -> io::Result<()> {
    const STEP: u64 = 4096;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut buffer = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(begin))?;
        buffer.clear();
        (&mut *file).take(end - begin).read_to_end(&mut buffer)?;
        if let Some(last) = buffer.iter().rposition(|&byte| byte == b'\n') {
            end = begin + last as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(())
}

/// Reads the results of earlier runs.
fn read<K: Kind>(mut file: &File, digest: &str, rows: u64) -> Result<Earlier, String> {
    let wrong = |error: csv::Error| format!("cannot be read: {error}");
    file.seek(SeekFrom::Start(0))
        .map_err(|error| error.to_string())?;
    let reader = BufReader::with_capacity(1 << 16, file);
    let mut reader = ReaderBuilder::new().from_reader(reader);
    let mut earlier = Earlier::default();
    let found = reader.headers().map_err(wrong)?;
    if found.is_empty() {
        return Ok(earlier);
    }
    if *found != header::<K>() {
        return Err("it has no results of such a file; move it away".into());
    }
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(wrong)? {
        if record.iter().next_back() != Some(digest) {
            return Err(
                "the file has changed since these are its results; put the rows that are to be \
                 sent into a file of another name"
                    .into(),
            );
        }
        let number = record[0]
            .parse()
            .ok()
            .filter(|number| (1..=rows).contains(number));
        let outcome = Outcome::ALL.into_iter().find(|it| it.name() == &record[3]);
        let (Some(number), Some(outcome)) = (number, outcome) else {
            return Err(format!("it has no results of such a file: {record:?}"));
        };
        let is_done = match outcome {
            Outcome::Ok | Outcome::Invalid => true,
            Outcome::Unknown => K::ONCE,
            Outcome::Failed => false,
        };
        if is_done && earlier.done.insert(number) {
            earlier.counts.add(outcome);
        }
    }
    Ok(earlier)
}
