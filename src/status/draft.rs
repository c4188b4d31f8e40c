//! A status in the making.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataValue},
};
use tonic_types::{
    ErrorDetails, FieldViolation, RpcStatusExt as _, Status as RpcStatus, StatusExt as _,
};

use super::{DOMAIN, MESIBO_DOMAIN, Reason};
use crate::call::RequestId;

/// gRFC A6: a negative value tells gRPC's own retries to leave a call alone.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A status, but for the id of its call. Its details are encoded once, when the id is
/// known.
#[derive(Clone, Debug)]
pub struct Draft(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    text: String,
    domain: &'static str,
    reason: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    no_retry: bool,
    header: Option<(&'static str, MetadataValue<Ascii>)>,
}

impl Draft {
    /// A status that the facade gives for a reason of its own.
    pub(super) fn new(code: Code, reason: Reason, text: impl Into<String>) -> Self {
        Self::of(DOMAIN, reason.as_str(), code, text.into())
    }

    /// A status whose reason has a meaning in `domain`.
    pub(super) fn of(domain: &'static str, reason: &str, code: Code, text: String) -> Self {
        Self(Box::new(Parts {
            code,
            text,
            domain,
            reason: reason.to_owned(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            retry_after: None,
            no_retry: false,
            header: None,
        }))
    }

    /// Adds to the metadata of `ErrorInfo`.
    pub(super) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Whether it says that something was not found.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.code == Code::NotFound
    }

    /// Adds to the text.
    pub(super) fn adding(mut self, text: &str) -> Self {
        self.0.text.push_str(text);
        self
    }

    /// Sets the `RetryInfo`.
    pub(super) fn retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    /// Sets the `BadRequest`.
    pub(super) fn violations(mut self, violations: Vec<FieldViolation>) -> Self {
        self.0.violations = violations;
        self
    }

    /// Sets a header of the response.
    pub(super) fn header(mut self, name: &'static str, value: MetadataValue<Ascii>) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Adds to the text.
    pub(super) fn and(mut self, text: &str) -> Self {
        self.0.text += text;
        self
    }

    /// Makes sure that no retry policy repeats the call.
    pub(super) fn never_retried(self) -> Self {
        let mut draft = self.and("; it may have been carried out, so check before you repeat it");
        draft.0.retry_after = None;
        draft.0.no_retry = true;
        // Every stock retry policy repeats UNAVAILABLE.
        if draft.0.code == Code::Unavailable {
            draft.0.code = Code::Unknown;
        }
        draft
    }

    /// The draft of a failure with an unknown outcome as bytes: a `google.rpc.Status`.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let parts = &*self.0;
        let details = ErrorDetails::with_error_info(
            parts.reason.clone(),
            parts.domain,
            parts.metadata.clone(),
        );
        let status = Status::with_error_details(parts.code, parts.text.clone(), details);
        Bytes::copy_from_slice(status.details())
    }

    /// The draft of a failure with an unknown outcome that [`Self::to_bytes`] made these
    /// bytes of, which may have been an older or a newer program.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let status = RpcStatus::decode(bytes).ok()?;
        let details = status.check_error_details().ok()?;
        let info = details.error_info()?;
        let domain = [DOMAIN, MESIBO_DOMAIN]
            .into_iter()
            .find(|domain| *domain == info.domain)?;
        let mut draft = Self::of(domain, &info.reason, status.code.into(), status.message);
        draft.0.metadata.clone_from(&info.metadata);
        draft.0.no_retry = true;
        Some(draft)
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.0.text
    }

    /// The status of the call with this id, which becomes the `google.rpc.RequestInfo`.
    #[must_use]
    pub fn into_status(self, id: &RequestId) -> Status {
        let parts = *self.0;
        let mut details = ErrorDetails::with_error_info(parts.reason, parts.domain, parts.metadata);
        details.set_request_info(id.as_str(), "");
        if !parts.violations.is_empty() {
            details.set_bad_request(parts.violations);
        }
        if parts.retry_after.is_some() {
            details.set_retry_info(parts.retry_after);
        }
        let mut status = Status::with_error_details(parts.code, parts.text, details);
        let metadata = status.metadata_mut();
        if parts.no_retry {
            metadata.insert(RETRY_PUSHBACK, MetadataValue::from_static("-1"));
        }
        if let Some((name, value)) = parts.header {
            metadata.insert(name, value);
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::status;

    #[test]
    fn an_unknown_outcome_is_read_back_as_it_was_and_anything_else_is_not() {
        let draft = status::answer_lost("groupadd").with("attempts", "2");
        let bytes = draft.to_bytes();
        let read = Draft::from_bytes(&bytes).unwrap();
        // Metadata has no order.
        let id = RequestId::of(&HeaderMap::default());
        let [first, again] = [draft, read].map(|draft| draft.into_status(&id));
        assert_eq!(first.code(), again.code());
        assert_eq!(first.message(), again.message());
        let [first_info, info] = [&first, &again].map(|status| {
            let info = status.get_details_error_info().unwrap();
            (info.reason, info.domain, info.metadata)
        });
        assert_eq!(first_info, info);
        assert_eq!(again.metadata().get(RETRY_PUSHBACK).unwrap(), "-1");

        assert!(Draft::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Draft::from_bytes(b"").is_none());
    }
}
