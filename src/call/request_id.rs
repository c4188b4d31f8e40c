//! The id of a call, by which its status, its log lines and its caller's report are found.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header with the id, in requests that bring one along and in all responses.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a client, in bytes.
const MAX_LENGTH: usize = 64;

/// The id of a call: 1 to 64 ASCII letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that a client chose, if it has the right form, or else a random one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let is_fit = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(is_fit)
        };
        let value = headers.get(HEADER).filter(is_fit).cloned();
        Self(value.unwrap_or_else(|| {
            let id = format!("{:016x}", fastrand::u64(..));
            HeaderValue::try_from(id).expect("digits make a header value")
        }))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Puts the id into the headers of a response.
    pub fn write(&self, headers: &mut HeaderMap) {
        let mut id = self.0.clone();
        // No id comes twice. HPACK's table of what was sent would fill with ids, and each
        // response would search all of them (RFC 7541, section 7.1.3).
        id.set_sensitive(true);
        headers.insert(HEADER, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_clients_if_it_is_fit_to_be_printed() {
        let of = |id: &str| {
            let value = HeaderValue::from_str(id).unwrap();
            let headers = HeaderMap::from_iter([(HEADER, value)]);
            RequestId::of(&headers).as_str().to_owned()
        };
        for fit in ["a", "6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e", &"x".repeat(64)] {
            assert_eq!(of(fit), fit);
        }
        for unfit in ["", "a b", "a\"b", &"x".repeat(65)] {
            let random = of(unfit);
            assert!(random.len() == 16 && random != unfit, "{random}");
        }
        let headers = HeaderMap::new();
        let (one, other) = (RequestId::of(&headers), RequestId::of(&headers));
        assert_ne!(one.as_str(), other.as_str());
    }
}
