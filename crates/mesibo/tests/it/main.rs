//! The client against backends on real sockets.

mod attempts;
mod calls;
mod cancelled;
mod refusals;
mod replies;
mod support;
