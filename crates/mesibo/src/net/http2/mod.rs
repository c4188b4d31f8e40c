//! HTTP/2 connections, which many calls share.
//!
//! They stand on the h2 crate and not on hyper's client, which hides what decides whether a
//! request may be repeated, and hands forms over before they can be written. What h2 itself
//! does not tell, [`watched`] reads from the bytes.

mod connection;
mod exchange;
mod frames;
mod link;
mod watched;

pub(super) use connection::{Connection, Driver, MAX_STREAMS, Stream};
pub(super) use exchange::{Request, Unanswered};
pub(super) use link::Limits;
