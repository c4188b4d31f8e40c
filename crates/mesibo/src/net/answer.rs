//! The answer to a request.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use tower::BoxError;
use tracing::Span;

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
    Lost(BoxError),
}

/// The head of a response.
pub(super) struct Head {
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl Head {
    /// Reads the head of a response. The span of the request gets the status.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        Span::current().record("http.response.status_code", status.as_u16());
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?));
        Self {
            status,
            retry_after,
        }
    }

    /// The answer with this head.
    pub(super) fn with(self, body: Body) -> Answer {
        Answer {
            status: self.status,
            retry_after: self.retry_after,
            body,
        }
    }
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
