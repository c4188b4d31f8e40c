//! The file whose rows are sent, read on a thread of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    thread,
};

use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    kind::{Kind, Values},
    results::Rowset,
    rows::{Format, Mistake, Row, Rows},
};

/// How many rows wait between the file and the stream.
const AHEAD: usize = 256;

/// How much of a file is read at a time, in bytes.
const BUFFER: usize = 64 << 10;

/// What a whole file is.
pub(super) struct Examined {
    /// The first 16 hexadecimal digits of the SHA-256 of its bytes.
    pub(super) digest: String,
    /// How many rows it has.
    pub(super) rows: u64,
}

/// A row that is ready to be sent, or why it cannot be.
pub(super) struct Prepared<Q> {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) subject: String,
    pub(super) request: Result<Q, Vec<Mistake>>,
}

/// Rows as they are read; an error is the last.
pub(super) type Receiver<Q> = mpsc::Receiver<Result<Prepared<Q>, String>>;

/// Which rows are read, and what their ids are made of.
pub(super) struct Selection {
    /// Rows that are left out.
    pub(super) done: Rowset,
    /// What makes the ids of the file's rows its own.
    pub(super) seed: Vec<u8>,
}

/// Takes the digest of all that is read.
struct Digesting<R> {
    reader: R,
    context: Context,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.context.update(&buffer[..count]);
        Ok(count)
    }
}

/// Reads a whole file, and keeps nothing of it.
pub(super) fn examine<K: Kind>(path: &Path, format: Format) -> Result<Examined, String> {
    let wrong = |error: io::Error| cannot_read(path, &error);
    let reader = Digesting {
        reader: File::open(path).map_err(wrong)?,
        context: Context::new(&SHA256),
    };
    let reader = BufReader::with_capacity(BUFFER, reader);
    let mut rows = Rows::new(reader, format, K::COLUMNS)
        .map_err(wrong)?
        .map_err(|what| format!("{}: {what}", path.display()))?;
    let mut count = 0;
    while rows.next().map_err(wrong)?.is_some() {
        count += 1;
    }
    let digest = rows.into_reader().into_inner().context.finish();
    Ok(Examined {
        digest: hex::encode(&digest.as_ref()[..8]),
        rows: count,
    })
}

/// Checks every row of a file, and writes what is wrong with which. Gives the number of
/// rows, and of those with a mistake.
///
/// # Errors
///
/// If the file cannot be read, its header is wrong, or nothing can be written.
pub fn check<K: Kind>(
    path: Option<&Path>,
    format: Format,
    out: &mut impl Write,
) -> Result<(u64, u64), String> {
    let name = name(path);
    let wrong = |error: io::Error| format!("cannot read {name}: {error}");
    let reader = open(path).map_err(wrong)?;
    let rows = Rows::new(reader, format, K::COLUMNS).map_err(wrong)?;
    let mut rows = rows.map_err(|what| format!("{name}: {what}"))?;
    let (mut count, mut wrong_rows) = (0, 0);
    while let Some(row) = rows.next().map_err(wrong)? {
        count += 1;
        let prepared = prepare::<K>(row);
        let Err(mistakes) = prepared.request else {
            continue;
        };
        wrong_rows += 1;
        for mistake in mistakes {
            let written = writeln!(out, "{name}:{}: {mistake}", prepared.line);
            written.map_err(|error| format!("cannot write: {error}"))?;
        }
    }
    Ok((count, wrong_rows))
}

/// Reads the rows of a file on a thread of its own, as far ahead as there is room for.
pub(super) fn read<K: Kind>(
    path: Option<&Path>,
    format: Format,
    selection: Selection,
) -> Result<Receiver<K::Request>, String> {
    let name = name(path);
    let wrong = |error: io::Error| format!("cannot read {name}: {error}");
    let reader = open(path).map_err(wrong)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let read = move || {
        let send_all = || -> Result<(), String> {
            let wrong = |error: io::Error| format!("cannot read {name}: {error}");
            let rows = Rows::new(reader, format, K::COLUMNS).map_err(wrong)?;
            let mut rows = rows.map_err(|what| format!("{name}: {what}"))?;
            while let Some(row) = rows.next().map_err(wrong)? {
                if selection.done.has(row.number) {
                    continue;
                }
                let mut prepared = prepare::<K>(row);
                if let Ok(request) = &mut prepared.request {
                    K::identify(request, || id(&selection.seed, prepared.number));
                }
                if sender.blocking_send(Ok(prepared)).is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(what) = send_all() {
            // It fails if nobody reads it any longer.
            let _ = sender.blocking_send(Err(what));
        }
    };
    thread::Builder::new()
        .name("rows".into())
        .spawn(read)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    Ok(receiver)
}

/// What the ids of a file's rows are made of: its name and its content.
pub(super) fn seed(path: &Path, digest: &str) -> Vec<u8> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    [name.as_encoded_bytes(), &[0], digest.as_bytes()].concat()
}

/// The id of a row: the same whenever the same file is sent, and no other's.
fn id(seed: &[u8], number: u64) -> String {
    let mut context = Context::new(&SHA256);
    context.update(seed);
    context.update(&number.to_be_bytes());
    let digest = context.finish();
    let bytes = digest.as_ref()[..16].try_into();
    let bytes = bytes.expect("SHA-256 has 32 bytes");
    // RFC 9562, section 5.8: what a UUID of version 8 is made of is its maker's choice.
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// What people know a file by.
pub(super) fn name(path: Option<&Path>) -> String {
    path.map_or_else(
        || "standard input".into(),
        |path| path.display().to_string(),
    )
}

pub(super) fn open(path: Option<&Path>) -> io::Result<Box<dyn BufRead + Send>> {
    Ok(match path {
        Some(path) => Box::new(BufReader::with_capacity(BUFFER, File::open(path)?)),
        None => Box::new(BufReader::with_capacity(BUFFER, io::stdin())),
    })
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// What becomes of a row.
fn prepare<K: Kind>(row: Row) -> Prepared<K::Request> {
    let read = row.values.map_err(|mistake| (String::new(), vec![mistake]));
    let request = read.and_then(|values| {
        let mut values = Values::new(K::COLUMNS, values);
        let request = K::read(&mut values);
        let mut mistakes = values.mistakes;
        for (field, what) in K::problems(&request) {
            // A value that is no value at all breaks rules as well.
            if mistakes.iter().all(|mistake| mistake.column != field) {
                mistakes.push(Mistake::new(&field, what));
            }
        }
        let subject = K::about(&request);
        if mistakes.is_empty() {
            Ok((subject, request))
        } else {
            Err((subject, mistakes))
        }
    });
    let (subject, request) = match request {
        Ok((subject, request)) => (subject, Ok(request)),
        Err((subject, mistakes)) => (subject, Err(mistakes)),
    };
    Prepared {
        number: row.number,
        line: row.line,
        subject,
        request,
    }
}

/// An id that no other run makes.
pub(super) fn random_seed() -> Vec<u8> {
    Uuid::from_u128(fastrand::u128(..)).into_bytes().to_vec()
}
