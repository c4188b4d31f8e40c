//! By the thousand: files of users and messages, sent over the streams of a running server,
//! with results that are written as they come, so that what was stopped can be taken up; and
//! files of the users that a server's directory has.
//!
//! Imports run one way, from the first of this list to the last:
//!
//! - [`existing`]: users whom Mesibo had before, which go into the directory
//! - [`mod@export`]: writes the users of a directory to a file
//! - [`mod@transfer`]: sends the rows of a file, and gathers the answers
//! - `server`: the server, and attempts at what it did not do
//! - `progress`: shows how far it is
//! - `results`: the file of results
//! - `source`: the file, read on a thread of its own
//! - [`users`], [`messages`]: the columns of each kind of file
//! - `kind`: what the kinds of files have in common
//! - `rows`: the rows of a file, as CSV or JSON Lines
//! - `quoting`: where a row of CSV ends, and its values
//! - `lines`: the lines of a file

pub mod existing;
pub mod export;
mod kind;
mod lines;
pub mod messages;
mod progress;
mod quoting;
mod results;
mod rows;
mod server;
mod source;
pub mod transfer;
pub mod users;

use std::io::{self, Write as _};

pub use existing::{ExistingJob, ExistingSummary, add_existing, check_existing};
pub use export::{Export, export};
pub use kind::Kind;
pub use rows::Format;
pub use server::Server;
pub use source::check;
pub use transfer::{Job, Summary, transfer};

/// Says something to people.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told of a failure.
    let _ = writeln!(io::stderr(), "{text}");
}
