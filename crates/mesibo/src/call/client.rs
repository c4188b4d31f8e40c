//! The client.

use std::{error, fmt, mem, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::Uri;
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, field};

use super::{
    admission::Admission,
    interpret::interpret,
    observed::ObservedCall,
    retry::Retries,
    write::{self, DetachableWrite},
};
use crate::{
    config::Config,
    error::{Cause, Error, Failure},
    net::{Pool, Progress, Template, post},
    observer::Observer,
    wire::{FromReply, Idempotency, Operation, Token},
};

/// A client of Mesibo's backend API.
///
/// A clone is cheap, and shares the connections, the limits and the token of its original.
/// A client can be used on several runtimes at a time.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// The state of a client at one moment.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Requests in flight.
    pub in_flight: usize,
    /// Calls that wait until a request in flight ends.
    pub waiting: usize,
    /// How many requests may be in flight.
    pub max_in_flight: usize,
    /// Whether calls are held back because Mesibo does not answer.
    pub breaker_open: bool,
}

struct Inner {
    config: Config,
    token: ArcSwap<Token>,
    uri: Uri,
    template: Template,
    pool: Pool,
    admission: Admission,
    retries: Retries,
    observer: Arc<dyn Observer>,
    /// The writes that go on without their callers.
    detached: TaskTracker,
}

impl Client {
    /// The longest time that a write goes on beyond its deadline, or without its caller.
    pub const MAX_DETACHED: Duration = write::MAX_DETACHED;

    /// Makes a client that tells `observer` of its work. No connection is opened before the
    /// first call.
    ///
    /// # Errors
    ///
    /// If the URL, the user agent, the certificates or the proxy cannot be used.
    pub fn new(
        mut config: Config,
        observer: impl Observer,
    ) -> Result<Self, Box<dyn error::Error + Send + Sync>> {
        let observer: Arc<dyn Observer> = Arc::new(observer);
        let uri: Uri = config.url.as_str().parse()?;
        Ok(Self(Arc::new(Inner {
            template: Template::new(&uri, &config.user_agent)?,
            pool: Pool::new(&config, uri.clone(), Arc::clone(&observer))?,
            uri,
            admission: Admission::new(&config),
            retries: Retries::default(),
            observer,
            detached: TaskTracker::new(),
            token: ArcSwap::from_pointee(Token::new(mem::take(&mut config.token))),
            config,
        })))
    }

    /// Replaces the application's token, from the next attempt on.
    pub fn set_token(&self, token: SecretString) {
        self.0.token.store(Arc::new(Token::new(token)));
    }

    /// The name of the application, as [`Config::app`] has it.
    #[must_use]
    pub fn app(&self) -> &Arc<str> {
        &self.0.config.app
    }

    /// The state of the client at this moment.
    #[must_use]
    pub fn state(&self) -> State {
        let Admission { breaker, limit } = &self.0.admission;
        State {
            in_flight: limit.in_flight(),
            waiting: limit.waiting(),
            max_in_flight: self.0.config.max_in_flight,
            breaker_open: breaker.is_open(),
        }
    }

    /// Posts an operation and reads its reply.
    ///
    /// A failed attempt is repeated, twice at most and only while few calls fail, if the
    /// operation changes nothing or its request was not sent. A request that may have been
    /// carried out is never repeated.
    ///
    /// When the future is dropped, an operation that changes nothing ends at once. One that
    /// changes something ends as [`Self::write`] says.
    ///
    /// # Errors
    ///
    /// If there is no reply by `deadline`, or none that has what the operation promises.
    /// [`Error::outcome_unknown`] says whether Mesibo may have carried out the operation all
    /// the same.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn call<R: FromReply>(
        &self,
        operation: Operation<R>,
        deadline: Instant,
    ) -> Result<R, Error> {
        if operation.idempotency() != Idempotency::Safe {
            return self.write(operation, deadline, |_| ()).await;
        }
        let observed = ObservedCall::begin(&self.0.observer, operation.name());
        let progress = Progress::new(deadline);
        let attempts = pin!(self.attempts(&operation, deadline, &progress));
        let result = timeout_at(deadline, attempts)
            .await
            .unwrap_or_else(|_| Err(out_of_time(&operation, &progress)));
        observed.finish(&result);
        result
    }

    /// Does the same as [`Self::call`] for an operation that changes something, and calls
    /// `on_outcome` with the outcome, once, as soon as it is known.
    ///
    /// A request that was sent cannot be called back. So, when the future is dropped or the
    /// deadline passes, a write that was not sent ends, and one that was sent goes on,
    /// detached, for up to [`Self::MAX_DETACHED`]: its outcome becomes known, and its
    /// connection can be used again. No request begins to be sent after the deadline.
    /// `on_outcome` is dropped uncalled only if the runtime ends before.
    ///
    /// # Errors
    ///
    /// As with [`Self::call`].
    ///
    /// # Panics
    ///
    /// As with [`Self::call`].
    pub fn write<R: FromReply, F: FnOnce(&Result<R, Error>) + Send + 'static>(
        &self,
        operation: Operation<R>,
        deadline: Instant,
        on_outcome: F,
    ) -> impl Future<Output = Result<R, Error>> + Send + use<'_, R, F> {
        let observed = ObservedCall::begin(&self.0.observer, operation.name());
        let operation = Arc::new(operation);
        let progress = Progress::new(deadline);
        let attempts = {
            let (client, operation, progress) =
                (self.clone(), Arc::clone(&operation), progress.clone());
            async move { client.attempts(&operation, deadline, &progress).await }
        };
        let on_outcome = move |result: &Result<R, Error>| {
            observed.finish(result);
            on_outcome(result);
        };
        let detached = &self.0.detached;
        DetachableWrite::new(operation, progress, attempts, on_outcome, detached).end_by(deadline)
    }

    /// Waits until no write goes on without its caller, at most [`Self::MAX_DETACHED`]: the last step of a shutdown, when all calls are over.
    ///
    /// Detached writes run on the runtimes on which they were called, which have to live on
    /// until then.
    pub async fn drained(&self) {
        let Inner { detached, .. } = &*self.0;
        // A tracker has to be closed to be waited for. It tracks what comes later all the
        // same.
        detached.close();
        detached.wait().await;
    }

    async fn attempts<R: FromReply>(
        &self,
        operation: &Operation<R>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<R, Error> {
        let Inner {
            config, retries, ..
        } = &*self.0;
        if deadline <= Instant::now() {
            return Err(out_of_time(operation, progress));
        }
        retries.deposit();
        loop {
            let (failure, cause) = match self.attempt(operation, progress).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let attempts = progress.attempts();
            let Some(delay) = retries.delay(&failure, operation.idempotency(), attempts, deadline)
            else {
                return Err(Error::new(operation, attempts, failure, cause));
            };
            let (app, op) = (&*config.app, operation.name());
            tracing::info!(app, op, attempts, ?delay, %failure, "retrying a call to Mesibo");
            sleep(delay).await;
        }
    }

    /// Makes one attempt, which counts as soon as it is admitted.
    async fn attempt<R: FromReply>(
        &self,
        operation: &Operation<R>,
        progress: &Progress,
    ) -> Result<R, (Failure, Cause)> {
        let Inner {
            config,
            token,
            uri,
            template,
            pool,
            admission,
            observer,
            ..
        } = &*self.0;
        let admitted = admission.enter().await.map_err(|failure| (failure, None))?;
        progress.begin_attempt();
        observer.attempt(operation.name());

        let token = token.load_full();
        let form = [operation.form(), token.parameter()];
        // Pinned first: what combines futures copies them, and this one is large.
        let answer = pin!(post(
            pool,
            template,
            form,
            config.max_reply_bytes,
            progress,
            &**observer,
        ));
        let answer = answer
            .instrument(client_span(uri, operation.name(), progress.attempts()))
            .await;
        let result = answer.and_then(|answer| interpret(operation.name(), answer, token.secret()));
        let answered = match &result {
            Ok(_) => true,
            Err((failure, _)) => failure.is_answer(),
        };
        // Ten calls that lose one connection are one failure, and not ten in a row.
        if answered || !progress.shares_failure() {
            admitted.finish(answered);
        }
        result
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("app", self.app())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The error of an operation whose deadline passed. From now on nothing of it is sent.
fn out_of_time<R>(operation: &Operation<R>, progress: &Progress) -> Error {
    let sent = progress.give_up();
    Error::out_of_time(operation, progress.attempts(), sent)
}

/// The span of an HTTP request, as OpenTelemetry's semantic conventions for HTTP have it,
/// and the operation that it is for.
fn client_span(uri: &Uri, op: &'static str, attempt: u32) -> Span {
    let resends = attempt.saturating_sub(1);
    tracing::debug_span!(
        "POST",
        otel.kind = "client",
        mesibo.op = op,
        http.request.resend_count = (resends > 0).then_some(resends),
        http.request.method = "POST",
        server.address = uri.host(),
        server.port = uri.port_u16(),
        http.response.status_code = field::Empty,
    )
}
