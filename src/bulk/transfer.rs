//! Sends the rows of a file over streams, until each has an answer.
//!
//! A stream ends with its connection, or with its server. What has no answer by then goes
//! into a new stream: a message has an id, and a user that is added again has another token.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    fs::File,
    future::ready,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{self, Sender, error::SendError},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::{
    kind::Kind,
    progress::{INTERVAL, Progress},
    results::{Counts, Outcome, Results, Told},
    rows::Format,
    server::{Attempts, Server, text_of},
    source::{self, Prepared, Receiver, Selection},
};

/// Most rows that are sent and have no answer: some streams' windows, and what is on the way.
const MAX_UNANSWERED: usize = 512;

/// Most rows that wait for the connection: those that are ready go out together.
const READY: usize = 64;

/// How long the answers to what was sent may take after the command was interrupted.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be sent, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file; standard input if there is none.
    pub file: Option<PathBuf>,
    /// How it has its rows.
    pub format: Format,
    /// The file of results; standard output if there is none.
    pub results: Option<PathBuf>,
    /// Most rows that are sent in a second.
    pub rate: Option<f64>,
    /// Whether results have access tokens.
    pub secrets: bool,
}

/// What all rows of a file came to.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// What became of the rows, those of earlier runs included.
    pub counts: Counts,
    /// Rows that earlier runs had done.
    pub earlier: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// The rows of a file on their way.
struct Transfer<K: Kind, W: Write> {
    rows: Receiver<K::Request>,
    /// Rows that were sent before, and have no answer.
    again: VecDeque<Prepared<K::Request>>,
    unanswered: HashMap<u64, Prepared<K::Request>>,
    results: Results<W>,
    counts: Counts,
    progress: Progress,
    pace: Option<Interval>,
    lines: Interval,
    secrets: bool,
    /// Whether the file has no more rows.
    is_read: bool,
    /// By when everything must be answered, from the time of an interrupt.
    stop: Option<Instant>,
    interrupts: Signal,
}

/// How a stream ended.
enum End {
    /// Everything is answered.
    Done,
    /// It is to be opened again.
    Broken(Status),
}

/// Sends the rows of a file until each has a result, or an interrupt comes.
///
/// # Errors
///
/// If the file or the results cannot be used, or the server lets no stream be opened. What
/// has a result by then is kept.
pub async fn transfer<K: Kind>(job: &Job, server: &Server) -> Result<Summary, String> {
    match (&job.file, &job.results) {
        (Some(file), Some(results)) => {
            let examined = source::examine::<K>(file, job.format)?;
            let (results, earlier) =
                Results::<File>::open::<K>(results, &examined.digest, examined.rows)?;
            let selection = Selection {
                seed: source::seed(file, &examined.digest),
                done: earlier.done,
            };
            let total = Some(examined.rows);
            send::<K, _>(job, server, selection, results, earlier.counts, total).await
        }
        (file, results) => {
            let selection = Selection {
                seed: source::random_seed(),
                done: super::results::Rowset::default(),
            };
            let out: Box<dyn Write + Send> = match results {
                Some(path) => Box::new(create(path)?),
                None => Box::new(io::stdout()),
            };
            let digest = file
                .as_deref()
                .map(|file| source::examine::<K>(file, job.format));
            let digest = digest.transpose()?;
            let (digest, total) = digest.map_or((String::new(), None), |examined| {
                (examined.digest, Some(examined.rows))
            });
            let mut results = Results::new(out, &digest);
            results.begin::<K>().map_err(|error| cannot_write(&error))?;
            send::<K, _>(job, server, selection, results, Counts::default(), total).await
        }
    }
}

/// A new file of results of what is read once only.
fn create(path: &Path) -> Result<File, String> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = File::options();
    let file = options
        .write(true)
        .create_new(true)
        .mode(super::results::MODE);
    file.open(path)
        .map_err(|error| format!("cannot write results to {}: {error}", path.display()))
}

async fn send<K: Kind, W: Write>(
    job: &Job,
    server: &Server,
    selection: Selection,
    results: Results<W>,
    counts: Counts,
    total: Option<u64>,
) -> Result<Summary, String> {
    let earlier = counts.rows();
    let mut lines = interval(INTERVAL);
    lines.reset();
    let mut transfer = Transfer::<K, W> {
        rows: source::read::<K>(job.file.as_deref(), job.format, selection)?,
        again: VecDeque::new(),
        unanswered: HashMap::new(),
        results,
        counts,
        progress: Progress::new(total, earlier),
        pace: job.rate.map(|rate| {
            let mut pace = interval(Duration::from_secs_f64(rate.recip()));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        }),
        lines,
        secrets: job.secrets,
        is_read: false,
        stop: None,
        interrupts: signal(SignalKind::interrupt())
            .map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?,
    };
    let ended = transfer.run(server).await;
    let written = transfer
        .results
        .flush()
        .map_err(|error| cannot_write(&error));
    transfer.progress.end();
    ended.and(written)?;
    Ok(Summary {
        counts: transfer.counts,
        earlier,
        stopped: transfer.stop.is_some(),
    })
}

impl<K: Kind, W: Write> Transfer<K, W> {
    /// Opens streams until everything is answered.
    async fn run(&mut self, server: &Server) -> Result<(), String> {
        let mut attempts = Attempts::default();
        loop {
            let before = self.counts;
            let ended = match self.stream(server).await? {
                End::Done => return Ok(()),
                End::Broken(status) => status,
            };
            let mut sent: Vec<_> = self.unanswered.drain().map(|(_, row)| row).collect();
            sent.sort_unstable_by_key(|row| row.number);
            self.again.extend(sent);
            if self.stop.is_some() {
                return Ok(());
            }
            if self.counts != before {
                attempts.succeed();
                if is_draining(&ended) {
                    continue;
                }
            }
            let why = format!("the server ended the stream: {}", text_of(&ended));
            let Some(pause) = attempts.fail(&ended) else {
                return Err(why);
            };
            self.progress.note(&format!(
                "{why}; it is opened again in {}",
                humantime::format_duration(pause)
            ));
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.interrupts.recv() => {
                    self.stop = Some(Instant::now());
                    return Ok(());
                }
            }
        }
    }

    /// Sends rows through one stream.
    async fn stream(&mut self, server: &Server) -> Result<End, String> {
        let (sender, receiver) = mpsc::channel(READY);
        let mut request = Request::new(ReceiverStream::new(receiver));
        *request.metadata_mut() = server.metadata.clone();
        let mut answers = match K::open(server.channel.clone(), request).await {
            Ok(answers) => answers,
            Err(status) => return Ok(End::Broken(status)),
        };
        let mut sender = Some(sender);
        let mut is_open = true;
        let mut next: Option<Prepared<K::Request>> = None;
        loop {
            let may_take = self.stop.is_none() && self.unanswered.len() < MAX_UNANSWERED;
            let may_read = next.is_none() && may_take;
            if next.is_none() && self.again.is_empty() && (self.is_read || self.stop.is_some()) {
                // Everything is sent.
                sender = None;
            }
            let stop = self.stop;
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Some(Ok(answer)) => self.answered(answer)?,
                    Some(Err(status)) => return Ok(self.broken(next, status)),
                    None if sender.is_none() && self.unanswered.is_empty() => return Ok(End::Done),
                    None => {
                        let status = Status::unavailable("it ended before all was answered");
                        return Ok(self.broken(next, status));
                    }
                },
                // The answers that came together are written together.
                () = ready(()), if !self.results.is_flushed() => {
                    self.results.flush().map_err(|error| cannot_write(&error))?;
                }
                _ = self.interrupts.recv() => {
                    if stop.is_some() {
                        return Ok(self.broken(next, Status::cancelled("stopped")));
                    }
                    self.stop = Some(Instant::now() + PATIENCE);
                    self.progress.note("stopping: what is on its way is waited for");
                }
                () = after(stop), if stop.is_some() => {
                    return Ok(self.broken(next, Status::cancelled("stopped")));
                }
                _ = self.lines.tick() => self.progress.line(),
                sent = reserve(sender.as_ref()), if is_open && next.is_some() => {
                    let Ok(permit) = sent else {
                        // The end of the stream says why.
                        is_open = false;
                        continue;
                    };
                    let row = next.take().expect("there is one");
                    if let Ok(request) = row.request.clone() {
                        permit.send(K::item(row.number.to_string(), request));
                        self.unanswered.insert(row.number, row);
                    }
                }
                row = next_row(&mut self.again, &mut self.rows, &mut self.pace),
                    if may_read && !(self.is_read && self.again.is_empty()) =>
                {
                    match row {
                        None => self.is_read = true,
                        Some(Err(what)) => return Err(what),
                        Some(Ok(row)) if row.request.is_err() => self.invalid(&row)?,
                        Some(Ok(row)) => next = Some(row),
                    }
                }
            }
        }
    }

    /// A stream ended before the next row was sent.
    fn broken(&mut self, next: Option<Prepared<K::Request>>, status: Status) -> End {
        self.again.extend(next);
        End::Broken(status)
    }

    /// Writes the result of a row that has its answer.
    fn answered(&mut self, answer: K::Answer) -> Result<(), String> {
        let (key, result) = K::answer(answer, self.secrets);
        let Some(row) = key
            .parse()
            .ok()
            .and_then(|key| self.unanswered.remove(&key))
        else {
            return Err(format!(
                "the server answers an item that was not sent: {key:?}"
            ));
        };
        match result {
            Ok(values) => self.told(&row, Outcome::Ok, &values, "OK", "", ""),
            Err(status) => {
                let (outcome, reason) = Outcome::of(&status);
                let code = format!("{:?}", Code::from(status.code));
                let blank = vec![String::new(); K::RESULTS.len()];
                self.told(&row, outcome, &blank, &code, &reason, &status.message)
            }
        }
    }

    /// A row that is wrong is not sent.
    fn invalid(&mut self, row: &Prepared<K::Request>) -> Result<(), String> {
        let Err(mistakes) = &row.request else {
            return Ok(());
        };
        let text: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        let blank = vec![String::new(); K::RESULTS.len()];
        self.told(row, Outcome::Invalid, &blank, "", "", &text.join("; "))
    }

    fn told(
        &mut self,
        row: &Prepared<K::Request>,
        outcome: Outcome,
        values: &[String],
        code: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), String> {
        let added = self.results.add(&Told {
            number: row.number,
            line: row.line,
            subject: &row.subject,
            outcome,
            values,
            code,
            reason,
            message,
        });
        added.map_err(|error| cannot_write(&error))?;
        self.counts.add(outcome);
        self.progress.add(outcome == Outcome::Ok);
        Ok(())
    }
}

/// The next row, at its time.
async fn next_row<Q>(
    again: &mut VecDeque<Prepared<Q>>,
    rows: &mut Receiver<Q>,
    pace: &mut Option<Interval>,
) -> Option<Result<Prepared<Q>, String>> {
    if let Some(pace) = pace {
        pace.tick().await;
    }
    match again.pop_front() {
        Some(row) => Some(Ok(row)),
        None => rows.recv().await,
    }
}

/// Room for an item, or an error if the stream is over.
async fn reserve<T>(sender: Option<&Sender<T>>) -> Result<mpsc::Permit<'_, T>, SendError<()>> {
    match sender {
        Some(sender) => sender.reserve().await,
        None => std::future::pending().await,
    }
}

/// Completes at a time.
async fn after(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn cannot_write(error: &io::Error) -> String {
    format!("cannot write results: {error}")
}

fn is_draining(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == "DRAINING" || info.reason == "STREAM_IDLE")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            ok,
            failed,
            unknown,
            invalid,
        } = self.counts;
        write!(f, "{} rows: {ok} done", self.counts.rows())?;
        for (count, what) in [
            (failed, "failed, and tried again by the same command"),
            (unknown, "may have been done"),
            (invalid, "invalid"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if self.earlier > 0 {
            write!(f, "; {} of them before", self.earlier)?;
        }
        Ok(())
    }
}
