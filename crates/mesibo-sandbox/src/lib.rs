//! An emulator of Mesibo's backend API on a real HTTP port, for development and
//! tests without an account.
//!
//! It keeps users, their tokens, groups, members and messages in memory, and
//! answers as the vendor's documentation says. It is written from that
//! documentation and shares no code with the client of this crate, so that a
//! mistake in one is not repeated in the other.
//!
//! # Paths
//!
//! | path | what it does |
//! |---|---|
//! | `GET` or `POST /api.php` | the backend API: parameters in the query, in a form body of a POST, or in both, where the body wins |
//! | `GET /sandbox/state` | everything that is held, as JSON; moments are seconds since 1970 |
//! | `DELETE /sandbox/state` | forgets all of it; ids keep counting, so that an old id never names a new thing |
//!
//! The state shows user tokens and messages to whoever asks: listen on a loopback
//! address.
//!
//! # Parameters
//!
//! Parameters are read as PHP reads them: of two with the same name the last one
//! counts, and a body that is not `application/x-www-form-urlencoded` holds none.
//! An empty value counts as an absent one, except for `name`, which it clears.
//! Bytes that are not UTF-8 become U+FFFD. A body may have 8 MiB; a larger one is
//! answered with HTTP 413.
//!
//! # Operations
//!
//! | op | parameters, the optional ones in brackets | reply |
//! |---|---|---|
//! | `useradd` | `addr`, `appid`, \[`expiry` in minutes, `active`, `name`, `groups`\] | `user` |
//! | `userset` | `uid`, \[`flag`, `active`\] | |
//! | `userdel` | `uid` | |
//! | `usertoken` | `uid`, `appid` | `user` |
//! | `usertoken` | `uid`, `delete=1`, \[`appid`; all of them without it\] | |
//! | `usersget` | \[`addr`, where `*` stands for any text, `count`\] | `users` |
//! | `groupadd` | \[`name`, `flag`, `expiry` and `expiryext` in seconds, `active`, `m`\] | `group` |
//! | `groupset` | `gid`, \[the same, but for `m`\] | `group` |
//! | `groupdel` | `gid` | |
//! | `groupeditmembers` | `gid`, `m`, \[`delete`, `cs`, `cr`, `canpub`, `cansub`, `canlist`\] | |
//! | `groupgetmembers` | `gid`, \[`count`\] | `members` |
//! | `message` | `from`, `msg`, `to` or `gid`, \[`type`, `expiry` in seconds\] | `mid` |
//!
//! What a second `useradd`, an edit or a second adding of a member does not
//! mention stays as it is. An operation that fails changes nothing at all. Tokens,
//! groups and messages live for a year by default; an expiry of 0 is over at once.
//! A message to a group with an `expiryext` lets it live for that long from then on,
//! at least.
//!
//! Who may send to a group is up to its flags: with 2, anyone; with 1, members with
//! an explicit `cs=1`; with neither, members without an explicit `cs=0`.
//!
//! # Errors
//!
//! A failure is an HTTP 200 like every reply. What is checked first is reported:
//! `op` and `token` are there, the token is right, the operation is known, and
//! then its parameters. The first three codes are the vendor's; the others are the
//! sandbox's own, for the vendor publishes no list.
//!
//! | code | meaning |
//! |---|---|
//! | `BADOP` | no such operation |
//! | `AUTHFAIL` | not the application token |
//! | `MISSINGPARA` | a required parameter, `op` and `token` included, is absent or empty |
//! | `BADPARA` | a parameter is not what it should be: not a number of 64 bits, not 0 or 1, a negative expiry, an empty entry in a list, both `to` and `gid` |
//! | `NOUSER` | no such user: by its uid, as a sender, a receiver or a member |
//! | `NOGROUP` | no such group, or an expired one |
//! | `NOMEMBER` | the sender is no member of a group that only members send to |
//! | `NOTALLOWED` | the sender is a member that may not send to the group |
//! | `USERDISABLED` | the sender is not active |
//! | `GROUPDISABLED` | the group that a message is for is not active |
//!
//! # What it does not emulate
//!
//! - The real-time API: nobody can log in with a user token, and no message is
//!   delivered. Everyone is offline.
//! - What takes delivery to matter: `canrecv`, `canpub`, `cansub`, `canlist`, and
//!   the group flags from 0x10 up are kept and shown, and change nothing.
//! - The maximum of groups of a user, quotas, rate limits, billing, and the ban of
//!   a token that is used from many addresses.
//! - Operations that the documentation does not have, the parameter `m` of
//!   `groupset`, `multipart/form-data`, and HTTPS.
//! - Storage: everything is gone when the process ends.

mod body;
mod moment;
mod params;
mod reply;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use params::Params;
use state::Backend;

/// How long a shutdown waits for requests that are still arriving. Nothing takes
/// long once it is here, so that only a stalled peer ever needs it.
const GRACE: Duration = Duration::from_secs(1);

/// The emulator, bound to its port and not yet serving.
///
/// Connections that arrive before [`Sandbox::serve`] wait for it.
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    backend: Backend,
}

/// What the handlers share.
type Shared = Arc<Mutex<Backend>>;

impl Sandbox {
    /// Binds the emulator; `token` is the application token that it accepts.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn bind(listen: SocketAddr, token: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            backend: Backend::new(token.into()),
        })
    }

    /// The address that it is bound to, with the port that the system chose if port
    /// 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, and then finishes the requests in flight,
    /// for one second at the most.
    ///
    /// # Errors
    ///
    /// The listener failed.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(self.listener, router(self.backend))
            .with_graceful_shutdown(async {
                // Completes when the sender is dropped: nothing is ever sent.
                let _ = stopped.await;
            })
            .into_future();
        let mut serving = pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = shutdown => drop(stop),
        }
        tokio::time::timeout(GRACE, serving).await.unwrap_or(Ok(()))
    }
}

fn router(backend: Backend) -> Router {
    Router::new()
        .route("/api.php", any(answer))
        .route("/sandbox/state", get(show).delete(forget))
        .fallback(async || (StatusCode::NOT_FOUND, "no such path in the sandbox\n"))
        .with_state(Arc::new(Mutex::new(backend)))
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // Not HEAD either: an operation without its reply helps nobody.
    if head.method != Method::GET && head.method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, POST")]).into_response();
    }
    let body = match body::read(body).await {
        Ok(body) if head.method == Method::POST && body::is_form(&head.headers) => body,
        Ok(_) => Vec::new(),
        Err(status) => return status.into_response(),
    };
    let query = head.uri.query().unwrap_or_default();
    let params = Params::parse(query.as_bytes(), &body);
    let reply = lock(&shared).answer(&params, SystemTime::now().into());
    match reply.outcome() {
        Ok(op) => tracing::debug!(op, "sandbox did an operation"),
        Err(code) => tracing::debug!(?code, "sandbox refused an operation"),
    }
    json(Value::from(reply).to_string())
}

async fn show(State(shared): State<Shared>) -> Response {
    let held = lock(&shared).snapshot(SystemTime::now().into());
    // For people, too.
    json(format!("{held:#}\n"))
}

async fn forget(State(shared): State<Shared>) -> StatusCode {
    lock(&shared).clear();
    StatusCode::NO_CONTENT
}

/// One panic must not turn every later reply into another.
fn lock(shared: &Mutex<Backend>) -> MutexGuard<'_, Backend> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
