//! One HTTP exchange: a form goes out, and an answer comes back, or a part of one.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
    uri::{PathAndQuery, Scheme},
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tower::BoxError;
use tracing::Span;

use super::{
    body::FormBody,
    pool::Pool,
    progress::Progress,
    stream::{Stale, Transport},
};
use crate::{
    error::{Cause, Failure},
    observer::Observer,
};

/// What all requests have in common.
pub(crate) struct Template {
    path: Uri,
    headers: HeaderMap,
}

/// An HTTP response, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Body,
}

/// The body of a response.
pub(crate) enum Body {
    /// The whole body.
    Whole(Vec<u8>),
    /// The beginning of a body that exceeds the limit.
    TooLarge(Vec<u8>),
    /// The connection was lost before the end of the body.
    Lost(hyper::Error),
}

impl Template {
    /// What requests to a URL have in common.
    ///
    /// # Errors
    ///
    /// If the URL has no host, or the user agent cannot be the value of a header.
    pub(crate) fn new(uri: &Uri, user_agent: &str) -> Result<Self, BoxError> {
        let host = uri.host().ok_or("the URL has no host")?;
        let is_default = |port| match port {
            80 => uri.scheme() == Some(&Scheme::HTTP),
            443 => uri.scheme() == Some(&Scheme::HTTPS),
            _ => false,
        };
        let host = match uri.port_u16().filter(|&port| !is_default(port)) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let path = uri.path_and_query().cloned();
        Ok(Self {
            path: path.unwrap_or(PathAndQuery::from_static("/")).into(),
            headers: HeaderMap::from_iter([
                (HOST, host.try_into()?),
                (CONTENT_TYPE, form),
                (USER_AGENT, user_agent.try_into()?),
            ]),
        })
    }

    fn request(&self, body: FormBody, observer: &dyn Observer) -> Request<FormBody> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        observer.request(request.headers_mut());
        request
    }
}

/// Posts a form, which is in two parts, and reads the answer, of whose body at most
/// `max_reply_bytes` and one frame are held.
///
/// A pooled connection may turn out to be closed before anything was written to it. Then the
/// next connection is taken: each turn of the loop uses up one of the pool's, and a new
/// connection ends it.
pub(crate) async fn post<S: Transport>(
    pool: &Pool<S>,
    template: &Template,
    form: [Bytes; 2],
    max_reply_bytes: usize,
    progress: &Progress,
    observer: &dyn Observer,
) -> Result<Answer, (Failure, Cause)> {
    loop {
        let unreachable = |error| (Failure::Unreachable, Some(error));
        let mut connection = pool.take().await.map_err(unreachable)?;
        let body = FormBody::new(form.clone(), progress.clone());
        let request = template.request(body, observer);
        let read = |response| Answer::read(response, max_reply_bytes);
        match connection.send(request, read).await {
            Ok(answer) => {
                pool.put(connection);
                return Ok(answer);
            }
            Err(error)
                if connection.is_reused() && (!progress.is_sent() || Stale::caused(&error)) =>
            {
                progress.mark_unsent();
            }
            Err(error) => return Err(without_response(error, progress)),
        }
    }
}

impl Answer {
    /// Reads a response to its end, or to the limit.
    async fn read(response: Response<Incoming>, max_bytes: usize) -> Self {
        let status = response.status();
        Span::current().record("http.response.status_code", status.as_u16());
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?));
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
        Self {
            status,
            retry_after,
            body,
        }
    }
}

/// The failure of a request to which no HTTP response came.
fn without_response(error: hyper::Error, progress: &Progress) -> (Failure, Cause) {
    let failure = if !progress.is_sent() {
        Failure::Unreachable
    } else if error.is_parse() {
        Failure::Malformed {
            problem: "the answer is not HTTP",
            excerpt: String::new(),
        }
    } else {
        Failure::ConnectionLost
    };
    (failure, Some(error.into()))
}

/// Reads a `Retry-After`: seconds, or a date, of which the past means now (RFC 9110, section
/// 10.2.3).
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
