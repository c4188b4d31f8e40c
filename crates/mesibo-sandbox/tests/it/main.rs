//! The sandbox over real sockets.

mod api;
mod dialects;
mod faults;
mod hardening;
mod state;
mod support;
mod worlds;
