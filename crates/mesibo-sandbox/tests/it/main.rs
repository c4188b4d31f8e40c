//! The sandbox over real sockets.

mod api;
mod browser;
mod dialects;
mod documents;
mod faults;
mod hardening;
mod log;
mod state;
mod support;
mod worlds;
