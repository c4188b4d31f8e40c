//! One HTTP exchange: a form goes out, and an answer comes back, or a part of one.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT},
    uri::{PathAndQuery, Scheme},
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tower::BoxError;

use super::{
    answer::{Answer, Body, Head},
    body::FormBody,
    http2::{self, Unanswered},
    own::Lease,
    pool::Pool,
    progress::Progress,
    stream::{Stale, Transport},
};
use crate::{
    error::{Cause, Failure},
    observer::Observer,
};

/// How often a request is sent again, at once, that a server surely has not carried out over
/// HTTP/2. Beyond that, it is another attempt, after a pause.
const MAX_RESENDS: u32 = 2;

/// What all requests have in common.
pub(crate) struct Template {
    path: Uri,
    headers: HeaderMap,
    /// The same for HTTP/2, where the URL names the host (RFC 9113, section 8.3.1).
    http2: (Uri, HeaderMap),
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
        let path = path.unwrap_or(PathAndQuery::from_static("/"));
        let headers = HeaderMap::from_iter([
            (HOST, HeaderValue::try_from(&host)?),
            (CONTENT_TYPE, form),
            (USER_AGENT, user_agent.try_into()?),
        ]);
        let url = Uri::builder()
            .scheme(uri.scheme().cloned().unwrap_or(Scheme::HTTP))
            .authority(&*host)
            .path_and_query(path.clone())
            .build()?;
        let mut without_host = headers.clone();
        without_host.remove(HOST);
        Ok(Self {
            path: path.into(),
            headers,
            http2: (url, without_host),
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

    fn http2_request(&self, length: usize, observer: &dyn Observer) -> Request<()> {
        let (url, headers) = &self.http2;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        observer.request(request.headers_mut());
        request
    }
}

/// Posts a form, which is in two parts, and reads the answer, of whose body at most
/// `max_reply_bytes` and one frame are held.
///
/// A pooled connection may turn out to be closed before anything was written to it. Then the
/// next connection is taken: each turn of the loop uses up one of the pool's, and a new
/// connection ends it. Over HTTP/2, where a server can say that it has not begun with a
/// request, the turns are counted.
pub(crate) async fn post<S: Transport>(
    pool: &Pool<S>,
    template: &Template,
    form: [Bytes; 2],
    max_reply_bytes: usize,
    progress: &Progress,
    observer: &dyn Observer,
) -> Result<Answer, (Failure, Cause)> {
    let unreachable = |error| (Failure::Unreachable, Some(error));
    let mut resends = 0;
    loop {
        let mut connection = match pool.take().await.map_err(unreachable)? {
            Lease::Http1(connection) => connection,
            Lease::Http2(stream) => {
                let length = form.iter().map(Bytes::len).sum();
                let request = http2::Request {
                    head: template.http2_request(length, observer),
                    form: form.clone(),
                    max_reply_bytes,
                    progress,
                };
                // Boxed, so that calls over HTTP/1.1 are not as large.
                match Box::pin(stream.exchange(request)).await {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered::Failed(failure, cause)) => return Err((failure, cause)),
                    Err(Unanswered::Unsent(error)) => {
                        progress.mark_unsent();
                        if resends == MAX_RESENDS {
                            return Err(unreachable(error));
                        }
                        resends += 1;
                        continue;
                    }
                }
            }
        };
        let body = FormBody::new(form.clone(), progress.clone());
        let request = template.request(body, observer);
        let read = |response| read(response, max_reply_bytes);
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

/// Reads a response to its end, or to the limit.
async fn read(response: Response<Incoming>, max_bytes: usize) -> Answer {
    let head = Head::read(response.status(), response.headers());
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
            Some(Err(error)) => break Body::Lost(error.into()),
        }
    };
    head.with(body)
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
