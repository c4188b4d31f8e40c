//! An emulator of [Mesibo](https://mesibo.com)'s backend API on a real HTTP port, for
//! development and tests without an account.
//!
//! It keeps users, their tokens, groups, members and messages, and answers as the
//! vendor's documentation says. It is written from that documentation and shares no code
//! with a client, so that a mistake in one is not repeated in the other. Beyond that API
//! it shows what it holds on a page at `/`, and has an API of its own below `/sandbox`:
//! to look and wait for what must come, to break requests on purpose, to move the time,
//! and to save and restore what it holds.
//!
//! `docs/sandbox.md` of the repository explains the backend API as it is emulated, the
//! faults and everything else that users see; `GET /sandbox/openapi.json` describes the
//! sandbox's own API.
//!
//! ```
//! use mesibo_sandbox::{DEFAULT_TOKEN, Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sandbox = Sandbox::builder()
//!     .on_reset(|world| println!("{world} begins anew"))
//!     .bind()
//!     .await?;
//! println!("post forms to http://{}/api.php", sandbox.local_addr());
//! println!("with token={DEFAULT_TOKEN}, or {DEFAULT_TOKEN}-NAME for a world of its own");
//!
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let serving = tokio::spawn(sandbox.serve(async {
//!     let _ = stopped.await;
//! }));
//! drop(stop);
//! serving.await?
//! # }
//! ```
//!
//! # Worlds
//!
//! Each application token opens a world of its own: users, groups, messages, a log of
//! requests, a clock, and fault rules. Worlds never see each other, so that tests run
//! side by side. [`Tokens`] says which tokens are taken, and how a program that stands
//! in front of the sandbox names a world.
//!
//! # Who may connect
//!
//! The sandbox shows and changes everything for whoever reaches it: listen on a loopback
//! address. Requests whose `Host` is neither an IP address nor `localhost` are refused,
//! unless [`Hosts`] allows their name; scripts of web pages from elsewhere are refused,
//! unless [`Origins`] allows them. Connections, bodies and everything that is kept are
//! bounded by [`Limits`].

mod api;
mod backend;
mod body;
mod clock;
mod fault;
mod http;
mod hub;
mod net;
mod requests;
mod sandbox;
mod settings;
mod store;
mod text_duration;
mod wire;
mod worlds;

pub use sandbox::{Builder, Sandbox};
pub use settings::{DEFAULT_TOKEN, DEFAULT_WORLD, Hosts, Limits, Origins, Tokens};
