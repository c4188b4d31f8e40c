//! Tests over real sockets: a client, the server, and an HTTP backend.

// Nothing is reachable from outside a test binary; here `pub` means "for the tests".
#![allow(unreachable_pub)]

mod access;
mod attacks;
mod audit;
mod balance;
mod bulk;
mod call;
mod chaos;
mod check;
mod clocks;
mod deadlines;
mod deploy;
mod directory;
mod documents;
mod doors;
mod errors;
mod exposition;
mod faults;
mod health;
mod house;
mod limits;
mod metrics;
mod once;
mod overload;
mod polyglot;
mod program;
mod quiet;
mod reload;
mod replies;
mod requests;
mod retries;
mod sandbox;
mod secrets;
mod shutdown;
mod statuses;
mod store;
mod streams;
mod support;
mod telemetry;
mod tls;
mod upstream;
mod validation;
mod walk;
