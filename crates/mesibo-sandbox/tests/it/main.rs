//! The sandbox over real sockets.

mod api;
mod browser;
mod dialects;
mod faults;
mod hardening;
mod state;
mod support;
mod worlds;
