//! The HTTP exchange with Mesibo: one form POST a call, and its bounds.

use std::{
    convert::Infallible,
    error::Error as _,
    iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http_body::{Frame, SizeHint};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    connections::{Connections, Proxy},
    error::{Error, Failure},
    operation::Operation,
    redact,
    reply::{FromReply, NotDone, Reply},
};

/// Longest error code that is passed on: as long as the `reason` of a
/// `google.rpc.ErrorInfo` may be.
const MAX_CODE_LENGTH: usize = 63;

/// How to reach Mesibo.
#[derive(Debug)]
pub struct Config {
    /// The URL of the API, without query.
    pub url: Url,
    /// The application's token.
    pub token: SecretString,
    /// The HTTP proxy on the way out, with credentials if it wants them. A
    /// loopback `url` is never proxied.
    pub proxy: Option<Proxy>,
    /// Certificate authorities, in PEM, to trust besides the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// Longest time to make a connection, TLS included.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept: less than servers keep theirs, for a
    /// request on a connection that is just being closed is lost.
    pub idle_timeout: Duration,
    /// How long connections are used, so that a changed address is seen.
    pub connection_lifetime: Duration,
    /// Largest reply that is read, in bytes.
    pub max_reply_bytes: usize,
}

/// A client of Mesibo's backend API. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: Config,
    connections: Connections,
}

/// Set once the request, or some of it, may have been sent.
#[derive(Clone, Default)]
struct SentFlag(Arc<AtomicBool>);

/// A form that tells when it is taken to be sent. hyper asks a body for its bytes
/// only when it has a connection to write them to.
struct FormBody {
    form: Option<Bytes>,
    sent: SentFlag,
}

/// An HTTP response, read to its end.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Body,
}

enum Body {
    Whole(Vec<u8>),
    TooLarge(Vec<u8>),
    Lost(reqwest::Error),
}

type Cause = Option<Box<dyn std::error::Error + Send + Sync>>;

impl Client {
    /// Makes a client. No connection is made before the first call.
    ///
    /// # Errors
    ///
    /// If the certificates or the proxy cannot be used.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        let connections = Connections::open(&config)?;
        Ok(Self(Arc::new(Inner {
            config,
            connections,
        })))
    }

    /// Posts an operation, once, and reads its reply.
    ///
    /// When the future is dropped, the exchange ends at once, with its connection.
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
        let fail = |(failure, source)| {
            Error::new(operation.name(), operation.idempotency(), failure, source)
        };
        let sent = SentFlag::default();
        let exchange = async {
            if deadline <= Instant::now() {
                return Err((Failure::OutOfTime { sent: false }, None));
            }
            self.exchange(&operation, sent.clone()).await
        };
        let answer = timeout_at(deadline, exchange)
            .await
            .unwrap_or_else(|_| Err((Failure::OutOfTime { sent: sent.get() }, None)))
            .map_err(fail)?;
        self.read(answer).map_err(fail)
    }

    async fn exchange<R: FromReply>(
        &self,
        operation: &Operation<R>,
        sent: SentFlag,
    ) -> Result<Answer, (Failure, Cause)> {
        let form = operation.form(self.0.config.token.expose_secret());
        let body = FormBody {
            form: Some(form.into()),
            sent: sent.clone(),
        };
        let response = self
            .0
            .connections
            .current(&self.0.config)
            .post(self.0.config.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(reqwest::Body::wrap(body))
            .send()
            .await
            .map_err(|error| without_response(error, &sent))?;
        Ok(Answer::read(response, self.0.config.max_reply_bytes).await)
    }

    /// Decides what an answer means.
    fn read<R: FromReply>(&self, answer: Answer) -> Result<R, (Failure, Cause)> {
        let token = &self.0.config.token;
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
            code: code.map(|code| {
                redact::printable(&redact::without_token(&code, token), MAX_CODE_LENGTH)
            }),
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
        match (status.is_success(), Reply::read(&body)) {
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
}

impl Answer {
    async fn read(mut response: Response, max_bytes: usize) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?));
        let mut body = Vec::new();
        let body = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > max_bytes => {
                    body.extend_from_slice(&chunk);
                    break Body::TooLarge(body);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break Body::Whole(body),
                Err(error) => break Body::Lost(error.without_url()),
            }
        };
        Self {
            status,
            retry_after,
            body,
        }
    }
}

impl SentFlag {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl http_body::Body for FormBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.set();
        Poll::Ready(self.form.take().map(|form| Ok(Frame::data(form))))
    }

    fn is_end_stream(&self) -> bool {
        self.form.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.form.as_ref().map_or(0, |form| form.len() as u64))
    }
}

/// What it means that no HTTP response came.
fn without_response(error: reqwest::Error, sent: &SentFlag) -> (Failure, Cause) {
    let error = error.without_url();
    let failure = if !sent.get() {
        Failure::Unreachable
    } else if is_not_http(&error) {
        Failure::Malformed {
            problem: "the answer is not HTTP",
            excerpt: String::new(),
        }
    } else {
        Failure::ConnectionLost
    };
    (failure, Some(error.into()))
}

fn is_not_http(error: &reqwest::Error) -> bool {
    iter::successors(error.source(), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
}

/// Reads a `Retry-After`: seconds, or a date, of which the past means now (RFC
/// 9110, section 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        let later = SystemTime::now() + Duration::from_secs(1000);
        let delay = retry_after(&httpdate::fmt_http_date(later)).unwrap();
        assert!((900..=1000).contains(&delay.as_secs()), "{delay:?}");
        for other in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(other), None, "{other}");
        }
    }
}
