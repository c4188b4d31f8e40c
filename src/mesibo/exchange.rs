//! One HTTP exchange: a form goes out, and an answer comes back, or part of one.

use std::{
    convert::Infallible,
    error::Error as _,
    iter,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;

use opentelemetry::{global::get_text_map_propagator, propagation::Injector};
use tracing::Span;

use super::{
    connections::Pool,
    error::{Cause, Failure},
    progress::Progress,
    stream::{Stale, Unwritten},
};

/// Who asks.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A form that tells when it is taken to be sent. hyper asks a body for its bytes
/// only when it has a connection to write them to.
pub(super) struct FormBody {
    form: Option<Bytes>,
    progress: Progress,
}

/// Headers, for OpenTelemetry to put the trace context into.
struct TraceContext<'a>(&'a mut HeaderMap);

/// An HTTP response, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Body,
}

/// The body of a response.
pub(super) enum Body {
    Whole(Vec<u8>),
    TooLarge(Vec<u8>),
    Lost(hyper::Error),
}

/// Posts a form.
///
/// A pooled connection that turns out to be closed is as good as none, so the next
/// is taken. This ends, for it is pooled no longer.
pub(super) async fn post(
    pool: &Pool,
    uri: &Uri,
    form: Bytes,
    progress: &Progress,
) -> Result<Response<Incoming>, (Failure, Cause)> {
    loop {
        let body = FormBody {
            form: Some(form.clone()),
            progress: progress.clone(),
        };
        let mut request = Request::post(uri.clone())
            .body(body)
            .expect("it has all it needs");
        request.headers_mut().extend([
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ),
            (USER_AGENT, HeaderValue::from_static(AGENT)),
        ]);
        get_text_map_propagator(|propagator| {
            propagator.inject(&mut TraceContext(request.headers_mut()));
        });
        match pool.request(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                Span::current().record("http.response.status_code", status);
                return Ok(response);
            }
            Err(error) if Stale::is_behind(&error) => progress.unsend(),
            Err(error) => return Err(without_response(error, progress)),
        }
    }
}

impl Answer {
    /// Reads a response to its end, or to the limit.
    pub(super) async fn read(response: Response<Incoming>, max_bytes: usize) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?));
        let unwritten = response.extensions().get::<Unwritten>().cloned();
        let mut frames = response.into_body();
        let mut body = Vec::new();
        let body = loop {
            match frames.frame().await {
                Some(Ok(frame)) => {
                    body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                    if body.len() > max_bytes {
                        break Body::TooLarge(body);
                    }
                }
                None => break Body::Whole(body),
                Some(Err(error)) => break Body::Lost(error),
            }
        };
        if let Some(unwritten) = unwritten {
            unwritten.close();
        }
        Self {
            status,
            retry_after,
            body,
        }
    }
}

impl Injector for TraceContext<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), value.parse()) {
            self.0.insert(name, value);
        }
    }
}

impl http_body::Body for FormBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.progress.send() {
            // Whoever waited for it went away, and so will this.
            return Poll::Pending;
        }
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
fn without_response(error: legacy::Error, progress: &Progress) -> (Failure, Cause) {
    let failure = if !progress.is_sent() {
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

fn is_not_http(error: &legacy::Error) -> bool {
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
