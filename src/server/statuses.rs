//! Makes every status complete, whoever made it.
//!
//! Libraries answer some calls before a handler sees them: an unknown method, a
//! message that is too large or cannot be decoded. Their statuses lack the
//! `ErrorInfo` that every status of the facade carries, and some have another code. Every
//! status gets the id of its call as `google.rpc.RequestInfo`.

use http::{HeaderMap, Uri};
use tonic::{Code, Status};

use super::request_id::RequestId;
use crate::status::{self, Reason};

/// What the statuses of a call need to be complete.
pub(super) struct Completion {
    pub(super) uri: Uri,
    pub(super) id: RequestId,
}

/// What a caller gets of a panic. The log has the rest, by the panic hook.
pub(super) fn of_panic() -> Status {
    status::refuse(
        Code::Internal,
        Reason::InternalPanic,
        "the facade has a defect; its log has more",
    )
}

impl Completion {
    /// The complete status in the place of the one in headers or trailers. None if all is
    /// well there.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Status> {
        code(headers).filter(|&code| code != Code::Ok)?;
        let mut status = Status::from_header_map(headers)?;
        if !headers.contains_key(Status::GRPC_STATUS_DETAILS) {
            status = status::complete(&status, self.uri.path());
        }
        Some(status::with_request_id(&status, self.id.as_str()))
    }
}

/// The gRPC code in headers or trailers.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(value.as_bytes()))
}
