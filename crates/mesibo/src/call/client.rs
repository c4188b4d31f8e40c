//! The client: a call is one attempt, or a few where that is safe.

use std::{mem, sync::Arc};

use arc_swap::ArcSwap;
use http::Uri;
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout_at};
use tower::BoxError;
use tracing::{Instrument as _, Span, field};

use super::{
    breaker::Breaker,
    limit::Limit,
    progress::{Progress, out_of_time},
    retry::Retries,
    write::Write,
};
use crate::{
    config::Config,
    error::{Cause, Error, Failure},
    net::{
        exchange::{Answer, Body, Template, post},
        pool::Pool,
    },
    observer::Observer,
    wire::{
        operation::{Idempotency, Operation},
        redact,
        reply::{FromReply, NotDone, Reply},
        token::Token,
    },
};

/// Longest error code that is passed on: as long as the `reason` of a
/// `google.rpc.ErrorInfo` may be.
const MAX_CODE_LENGTH: usize = 63;

/// A client of Mesibo's backend API. Cheap to clone; clones share connections and
/// limits.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// The state of a client at one moment.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that wait for one in flight to end.
    pub waiting: usize,
    /// How many may be in flight.
    pub max_in_flight: usize,
    /// Whether calls are held back, because Mesibo does not answer.
    pub breaker_open: bool,
}

struct Inner {
    config: Config,
    token: ArcSwap<Token>,
    uri: Uri,
    template: Template,
    pool: Pool,
    limit: Limit,
    breaker: Breaker,
    retries: Retries,
    observer: Arc<dyn Observer>,
}

impl Client {
    /// Makes a client, of whose work `observer` learns. No connection is made before the
    /// first call.
    ///
    /// # Errors
    ///
    /// If the URL, the certificates or the proxy cannot be used.
    pub fn new(mut config: Config, observer: impl Observer) -> Result<Self, BoxError> {
        let observer: Arc<dyn Observer> = Arc::new(observer);
        let uri: Uri = config.url.as_str().parse()?;
        Ok(Self(Arc::new(Inner {
            template: Template::new(&uri, &config.user_agent)?,
            pool: Pool::new(&config, uri.clone(), Arc::clone(&observer))?,
            uri,
            limit: Limit::new(config.max_in_flight, config.max_waiting, config.max_wait),
            breaker: Breaker::new(Arc::clone(&config.app)),
            retries: Retries::default(),
            observer,
            token: ArcSwap::from_pointee(Token::new(mem::take(&mut config.token))),
            config,
        })))
    }

    /// Puts another token in the place of the application's, from the next attempt on.
    pub fn set_token(&self, token: SecretString) {
        self.0.token.store(Arc::new(Token::new(token)));
    }

    /// Completes when no write goes on beyond its caller.
    pub fn drained(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// The name of the application that it is for.
    #[must_use]
    pub fn app(&self) -> &Arc<str> {
        &self.0.config.app
    }

    /// The state that it is in.
    #[must_use]
    pub fn state(&self) -> State {
        let Inner { limit, breaker, .. } = &*self.0;
        State {
            in_flight: limit.in_flight(),
            waiting: limit.waiting(),
            max_in_flight: self.0.config.max_in_flight,
            breaker_open: breaker.is_open(),
        }
    }

    /// Posts an operation and reads its reply. What was surely not carried out, or
    /// changes nothing, is tried again, twice at the most and only while few calls
    /// fail; what may have been carried out never is.
    ///
    /// When the future is dropped, an operation that changes nothing ends at once. One
    /// that changes something ends unsent, or goes on as with [`Self::write`].
    ///
    /// # Errors
    ///
    /// If there is no such reply by `deadline`; [`Error::outcome_unknown`] says
    /// whether Mesibo may have carried out the operation all the same.
    pub async fn call<R: FromReply>(
        &self,
        operation: Operation<R>,
        deadline: Instant,
    ) -> Result<R, Error> {
        if operation.idempotency() != Idempotency::Safe {
            return self.write(operation, deadline, |_| ()).await;
        }
        let started = std::time::Instant::now();
        let progress = Progress::default();
        let result = timeout_at(deadline, self.attempts(&operation, deadline, &progress))
            .await
            .unwrap_or_else(|_| Err(out_of_time(&operation, &progress)));
        self.0.observe(operation.name(), started, &result);
        result
    }

    /// Does the same for an operation that changes something, and tells `learn` what
    /// became of it, which may be later.
    ///
    /// What is on the wire cannot be called back. So, when the future is dropped or
    /// the deadline passes, a request that was sent goes on for up to five seconds
    /// more: its outcome becomes known, and its connection can be used again.
    ///
    /// # Errors
    ///
    /// As with [`Self::call`].
    pub async fn write<R: FromReply>(
        &self,
        operation: Operation<R>,
        deadline: Instant,
        learn: impl FnOnce(&Result<R, Error>) + Send + 'static,
    ) -> Result<R, Error> {
        let operation = Arc::new(operation);
        let progress = Progress::default();
        let attempts = {
            let (client, operation, progress) =
                (self.clone(), Arc::clone(&operation), progress.clone());
            async move { client.attempts(&operation, deadline, &progress).await }
        };
        let (client, op) = (self.clone(), operation.name());
        let started = std::time::Instant::now();
        let learn = move |result: &Result<R, Error>| {
            client.0.observe(op, started, result);
            learn(result);
        };
        let write = Write::new(operation, progress, attempts, learn);
        write.end_by(deadline).await
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
            tracing::info!(app, op, attempts, ?delay, %failure, "a call to Mesibo is tried again");
            sleep(delay).await;
        }
    }

    /// One attempt. It counts as soon as nothing holds it back.
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
            limit,
            breaker,
            observer,
            ..
        } = &*self.0;
        let pass = breaker.enter().map_err(|failure| (failure, None))?;
        let _slot = limit.enter().await.map_err(|failure| (failure, None))?;
        progress.attempt();
        observer.attempt(operation.name());

        let token = token.load_full();
        let form = [operation.form(), token.parameter()];
        let answer = post(
            pool,
            template,
            form,
            config.max_reply_bytes,
            progress,
            &**observer,
        )
        .instrument(client_span(uri))
        .await;
        let result = answer.and_then(|answer| read(operation.name(), answer, token.secret()));
        pass.finish(
            result
                .as_ref()
                .err()
                .is_none_or(|(failure, _)| failure.is_answer()),
        );
        result
    }
}

impl Inner {
    /// Tells the observer that a call is over.
    fn observe<R>(&self, op: &'static str, started: std::time::Instant, result: &Result<R, Error>) {
        let outcome = result.as_ref().err().map_or(Error::NONE, Error::outcome);
        self.observer.call(op, outcome, started.elapsed());
    }
}

/// The span of an HTTP request, as OpenTelemetry's conventions for HTTP have it.
fn client_span(uri: &Uri) -> Span {
    tracing::debug_span!(
        "POST",
        otel.kind = "client",
        http.request.method = "POST",
        server.address = uri.host(),
        server.port = uri.port_u16(),
        http.response.status_code = field::Empty,
    )
}

/// Decides what an answer means.
fn read<R: FromReply>(
    op: &str,
    answer: Answer,
    token: &SecretString,
) -> Result<R, (Failure, Cause)> {
    let Answer {
        status,
        retry_after,
        body,
    } = answer;
    if status.is_redirection() {
        let status = status.as_u16();
        return Err((Failure::Redirect { status }, None));
    }
    let http = Failure::Http {
        status: status.as_u16(),
        retry_after,
    };
    let malformed = |problem, body: &[u8]| Failure::Malformed {
        problem,
        excerpt: redact::excerpt(body, token),
    };
    let refused = |code: Option<String>| Failure::Refused {
        code: code
            .map(|code| redact::printable(&redact::without_token(&code, token), MAX_CODE_LENGTH)),
        retry_after,
    };
    let body = match body {
        Body::Whole(body) => body,
        _ if !status.is_success() => return Err((http, None)),
        Body::TooLarge(start) => {
            return Err((malformed("the reply is too large", &start), None));
        }
        Body::Lost(error) => return Err((Failure::ConnectionLost, Some(error.into()))),
    };
    match (status.is_success(), Reply::read(&body, op)) {
        (true, Ok(reply)) => {
            R::from_reply(&reply).map_err(|problem| (malformed(problem, &body), None))
        }
        (true, Err(NotDone::Unreadable(problem))) => Err((malformed(problem, &body), None)),
        (_, Err(NotDone::Refused(code))) => Err((refused(code), None)),
        // Without a result, under an HTTP error, it is some gateway's error.
        (true, Err(NotDone::Error(code))) => Err((refused(Some(code)), None)),
        // A yes under an HTTP error is nothing to build on.
        (false, _) => Err((http, None)),
    }
}
