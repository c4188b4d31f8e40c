//! What the kinds of files have in common.

use std::{fmt::Display, pin::Pin, str::FromStr};

use prost_types::Duration;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Status};

use super::rows::{Column, Mistake};
use crate::{proto::ItemStatus, status::ServerChannel};

/// The answers of a server to the items of a stream, as they come.
pub(super) type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

/// A kind of file, and the RPC that its rows are the items of.
pub trait Kind: Send + Sync + 'static {
    /// The columns that a file may have.
    const COLUMNS: &'static [Column];
    /// The columns of the results that tell of success.
    const RESULTS: &'static [&'static str];
    /// Whether a row that may have been carried out must not be tried again.
    const ONCE: bool;
    /// What a row becomes.
    type Request: Clone + Send + 'static;
    /// An item of the stream.
    type Item: Send + 'static;
    /// An answer of the stream.
    type Answer: Send + 'static;

    /// The request of a row, or all that is wrong with it.
    fn read(values: &mut Values) -> Self::Request;

    /// The rules of the contract that a request breaks, by field.
    fn problems(request: &Self::Request) -> Vec<(String, String)>;

    /// Gives a request its id, if it takes one and has none of its own.
    fn identify(_request: &mut Self::Request, _id: impl FnOnce() -> String) {}

    /// What a request is about, for the results.
    fn about(request: &Self::Request) -> String;

    /// The item of a request.
    fn item(key: String, request: Self::Request) -> Self::Item;

    /// The key of an answer, and the values of [`Self::RESULTS`], without secrets if they
    /// are not wanted, or the status of a failure.
    fn answer(answer: Self::Answer, secrets: bool) -> (String, Result<Vec<String>, ItemStatus>);

    /// Opens a stream.
    fn open(
        channel: ServerChannel,
        items: Request<ReceiverStream<Self::Item>>,
    ) -> impl Future<Output = Result<Answers<Self::Answer>, Status>> + Send;
}

/// The values of a row, and what is found to be wrong with them.
pub struct Values {
    columns: &'static [Column],
    texts: Vec<Option<String>>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Values {
    pub(super) fn new(columns: &'static [Column], texts: Vec<Option<String>>) -> Self {
        Self {
            columns,
            texts,
            mistakes: Vec::new(),
        }
    }

    /// A text; `None` if it is blank.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let index = self.columns.iter().position(|column| column.name == name);
        self.texts[index.expect("kinds ask for their own columns")].take()
    }

    /// A number.
    pub(super) fn number<T: FromStr + Display>(&mut self, name: &str, largest: &T) -> Option<T> {
        self.parse(name, |text| {
            let number = text.parse();
            number.map_err(|_| format!("expected a number from 0 to {largest}, not {text:?}"))
        })
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.parse(name, |text| match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(format!("expected true or false, not {text:?}")),
        })
    }

    /// A time.
    pub(super) fn time(&mut self, name: &str) -> Option<Duration> {
        self.parse(name, |text| {
            let time = humantime::parse_duration(text).ok();
            let time = time.and_then(|time| Duration::try_from(time).ok());
            time.ok_or_else(|| format!("expected a time, such as 90m or 30days, not {text:?}"))
        })
    }

    fn parse<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        parsed
            .map_err(|what| self.mistakes.push(Mistake::new(name, what)))
            .ok()
    }
}
