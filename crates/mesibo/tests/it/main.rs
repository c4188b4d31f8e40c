//! The client against backends on real sockets.

mod attempts;
mod calls;
mod cancelled;
mod http2;
mod refusals;
mod replies;
mod support;
