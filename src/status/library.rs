//! The statuses that tonic and the codec make, before a handler sees the call or while it
//! reads the message. They have no details, and some have another code than callers
//! expect.

use tonic::{Code, Status, metadata::MetadataValue};

use super::{Draft, Reason};
use crate::codec::TOO_MANY_FIELDS;

/// What a server that cannot read a message can read, as gRPC's doc/compression.md wants
/// it told.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The status in the place of one that tonic made.
///
/// The cases are those of tonic 0.14's `codec/decode.rs`, `server/grpc.rs` and generated
/// services, and of the contract's codec. Any other status has a fixed text: what an unknown error says may be about
/// the inside.
#[must_use]
pub fn complete(status: &Status, path: &str) -> Draft {
    let text = status.message();
    let malformed = |text: &str| Draft::new(Code::Internal, Reason::MalformedRequest, text);
    match status.code() {
        // The text has both sizes.
        Code::OutOfRange if text.contains("message length too large") => {
            Draft::new(Code::ResourceExhausted, Reason::MessageTooLarge, text)
        }
        // The codec of the contract.
        Code::InvalidArgument if text == TOO_MANY_FIELDS => {
            Draft::new(Code::InvalidArgument, Reason::InvalidRequest, text)
        }
        // A service without one of the methods of its descriptor.
        Code::Unimplemented if text.is_empty() => unknown_method(path),
        // The text has the encoding, which a client can make up.
        Code::Unimplemented if text.starts_with("Content is compressed") => {
            unsupported_encoding(ACCEPT_ENCODING)
        }
        Code::Internal if text.contains("compression flag") => malformed(
            "the request message must begin with the flag 0 or 1, as gRPC's \
             doc/PROTOCOL-HTTP2.md has it",
        ),
        Code::Internal if text.contains("failed to decode Protobuf message") => {
            malformed("the request is not the message that the contract defines for this method")
        }
        Code::Internal if text.contains("Missing request message") => {
            malformed("the request must have a message")
        }
        Code::Internal if text.contains("Unexpected EOF") => {
            malformed("the request message ends before its length")
        }
        // The connection or the stream ended while the message was read.
        Code::Cancelled => Draft::new(
            Code::Cancelled,
            Reason::MalformedRequest,
            "the client ended the request before it was complete",
        ),
        code => Draft::new(
            code,
            Reason::MalformedRequest,
            "the request could not be read",
        ),
    }
}

/// The status of a call whose message is compressed in an unknown way. `accepts` is the
/// header that tells what is known.
#[must_use]
pub fn unsupported_encoding(accepts: &'static str) -> Draft {
    let text = "the request message is compressed by an encoding that is not supported; gzip \
                and identity are";
    Draft::new(Code::Unimplemented, Reason::MalformedRequest, text)
        .header(accepts, MetadataValue::from_static("gzip, identity"))
}

/// The status of a call to a method that no service has.
#[must_use]
pub fn unknown_method(path: &str) -> Draft {
    Draft::new(
        Code::Unimplemented,
        Reason::UnknownMethod,
        format!("there is no method {path}; server reflection lists those there are"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_unknown_error_stays_inside() {
        for code in [
            Code::Unknown,
            Code::Internal,
            Code::Unavailable,
            Code::OutOfRange,
            Code::Unimplemented,
        ] {
            let status = Status::new(code, "database password is hunter2");
            let draft = complete(&status, "/mesibo.v1.UserService/ListUsers");
            assert!(!draft.text().contains("hunter2"), "{draft:?}");
        }
    }
}
