//! The reasons that statuses give.

use crate::call::Denial;

/// `ErrorInfo.reason` of what the facade itself refused or could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request breaks rules of the contract; `BadRequest` has them all.
    InvalidRequest,
    /// The `request_id` was used for another request before.
    RequestIdReused,
    /// `grpc-timeout` is not of the form that gRPC prescribes.
    InvalidTimeout,
    /// There is no such RPC.
    UnknownMethod,
    /// The health service does not know the name that was asked for.
    UnknownService,
    /// The request is not what gRPC and the contract prescribe.
    MalformedRequest,
    /// The request message is larger than the facade takes.
    MessageTooLarge,
    /// The requests that are under way take all the memory that they may; nothing was sent.
    RequestMemory,
    /// There are too many watches of health; metadata `limit`: of the `connection` or of the
    /// `server`.
    TooManyWatches,
    /// The call shows neither a key nor a client certificate.
    NoCredentials,
    /// The call shows a key that is none, or no longer valid.
    InvalidKey,
    /// The client certificate is not one of a caller.
    UnknownCertificate,
    /// The caller may not call this RPC; metadata `caller`.
    RpcNotAllowed,
    /// The caller may not use the app that it names, or there is none of that name;
    /// metadata `caller`.
    AppNotAllowed,
    /// The caller may not send messages from this address; metadata `caller`.
    SenderNotAllowed,
    /// The caller may not make or delete user tokens for this `app_id`, or for all of
    /// them; metadata `caller`.
    AppIdNotAllowed,
    /// There are too many calls; metadata `limit`: of the `caller` or for the `app`. A call
    /// that counts more than the rate ever has has metadata `burst` and no `RetryInfo`.
    RateLimited,
    /// The caller has its share of operations in flight; metadata `limit`: `caller`.
    TooManyInFlight,
    /// Time ran out.
    DeadlineExceeded,
    /// No connection to Mesibo could be made; nothing was sent.
    UpstreamUnreachable,
    /// Mesibo gave the last attempts no answer; nothing was sent.
    UpstreamDown,
    /// Too many calls to Mesibo are in flight; nothing was sent.
    Overloaded,
    /// The connection to Mesibo was lost after the request was sent.
    ConnectionLost,
    /// The client went away before the request was sent.
    Cancelled,
    /// An HTTP status other than success, without a reply; metadata `http_status`.
    UpstreamHttpStatus,
    /// An HTTP redirect, which is never followed; metadata `http_status`.
    UnexpectedRedirect,
    /// What Mesibo answered cannot be read, or lacks what the RPC promises.
    MalformedReply,
    /// The audit cannot be written, and the settings want no write without it.
    AuditUnavailable,
    /// The store of request ids does not answer; nothing was sent.
    StoreUnavailable,
    /// The facade keeps no directory.
    NoStore,
    /// The directory has no such user or group.
    NotInDirectory,
    /// Neither the directory nor Mesibo has a user of this address; nothing was sent.
    UnknownAddress,
    /// No answer was recorded of the call that was the first with its `request_id`, so that
    /// its outcome is unknown.
    AnswerLost,
    /// The server stops, or the connection has reached its age, so that a stream ended. What
    /// has no answer was not sent.
    Draining,
    /// No item of a stream came for as long as it may be idle.
    StreamIdle,
    /// A defect of the facade.
    InternalPanic,
}

impl Reason {
    /// The reasons of calls that may not be made.
    pub const DENIALS: &[Self] = &[
        Self::NoCredentials,
        Self::InvalidKey,
        Self::UnknownCertificate,
        Self::RpcNotAllowed,
        Self::AppNotAllowed,
        Self::SenderNotAllowed,
        Self::AppIdNotAllowed,
        Self::RateLimited,
        Self::TooManyInFlight,
    ];

    /// The reason of a call that may not be made.
    #[must_use]
    pub fn of(denial: &Denial) -> Self {
        match denial {
            Denial::NoCredentials => Self::NoCredentials,
            Denial::WrongKey | Denial::ExpiredKey { .. } => Self::InvalidKey,
            Denial::UnknownCertificate => Self::UnknownCertificate,
            Denial::Rpc { .. } => Self::RpcNotAllowed,
            Denial::App { .. } => Self::AppNotAllowed,
            Denial::FromAddress { .. } => Self::SenderNotAllowed,
            Denial::AppId { .. } => Self::AppIdNotAllowed,
            Denial::Rate { .. } | Denial::Burst { .. } => Self::RateLimited,
            Denial::InFlight { .. } => Self::TooManyInFlight,
        }
    }

    /// The reason as callers read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::InvalidTimeout => "INVALID_TIMEOUT",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::UnknownService => "UNKNOWN_SERVICE",
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::RequestMemory => "REQUEST_MEMORY",
            Self::TooManyWatches => "TOO_MANY_WATCHES",
            Self::NoCredentials => "NO_CREDENTIALS",
            Self::InvalidKey => "INVALID_KEY",
            Self::UnknownCertificate => "UNKNOWN_CERTIFICATE",
            Self::RpcNotAllowed => "RPC_NOT_ALLOWED",
            Self::AppNotAllowed => "APP_NOT_ALLOWED",
            Self::SenderNotAllowed => "SENDER_NOT_ALLOWED",
            Self::AppIdNotAllowed => "APP_ID_NOT_ALLOWED",
            Self::RateLimited => "RATE_LIMITED",
            Self::TooManyInFlight => "TOO_MANY_IN_FLIGHT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::UpstreamUnreachable => "UPSTREAM_UNREACHABLE",
            Self::UpstreamDown => "UPSTREAM_DOWN",
            Self::Overloaded => "OVERLOADED",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::Cancelled => "CANCELLED",
            Self::UpstreamHttpStatus => "UPSTREAM_HTTP_STATUS",
            Self::UnexpectedRedirect => "UNEXPECTED_REDIRECT",
            Self::MalformedReply => "MALFORMED_REPLY",
            Self::AuditUnavailable => "AUDIT_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::NoStore => "NO_STORE",
            Self::NotInDirectory => "NOT_IN_DIRECTORY",
            Self::UnknownAddress => "UNKNOWN_ADDRESS",
            Self::AnswerLost => "ANSWER_LOST",
            Self::Draining => "DRAINING",
            Self::StreamIdle => "STREAM_IDLE",
            Self::InternalPanic => "INTERNAL_PANIC",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Texts such as `INVALID_REQUEST` between these marks.
    fn marked<'a>(text: &'a str, mark: &str) -> BTreeSet<&'a str> {
        let is_reason = |text: &&str| {
            let is_of_it = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            !text.is_empty() && text.bytes().all(is_of_it)
        };
        text.split(mark)
            .skip(1)
            .step_by(2)
            .filter(is_reason)
            .collect()
    }

    #[test]
    fn the_document_lists_every_reason_and_no_other() {
        let (_, source) = include_str!("reason.rs").split_once("fn as_str").unwrap();
        let (source, _) = source.split_once("#[cfg(test)]").unwrap();
        let document = include_str!("../../docs/errors.md");
        let (_, table) = document
            .split_once("| what happened | status | reason |")
            .unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let documented = table.lines().filter_map(|row| row.rsplit(" | ").next());
        let documented: BTreeSet<_> = documented.flat_map(|cell| marked(cell, "`")).collect();
        let mut reasons = marked(source, "\"");
        // What stands for a code of Mesibo where a reply has none.
        reasons.insert("NO_ERROR_CODE");
        // The client that went away reads no status.
        reasons.remove("CANCELLED");
        assert_eq!(documented, reasons);
        assert!(reasons.len() > 25);
    }
}
