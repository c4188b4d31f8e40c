//! Messages in JSON, by protobuf's own mapping: numbers of 64 bits as texts, enums by name,
//! durations such as "3s", and no field that the contract does not have.
//!
//! prost-reflect reads the descriptors that server reflection shows, so that it knows the
//! contract, health and the details of errors alike, and an RPC needs no code. pbjson would
//! generate code that is some times as fast, for types of its own in the place of those that
//! tonic-types and prost-types have, which the services use. A message of the
//! contract takes prost-reflect a few microseconds, where its call takes some hundred.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use prost_types::FileDescriptorSet;
use serde_json::Value;
use tonic::Code;

use crate::{
    call::Policy,
    codec, proto,
    status::{self, Draft, Reason},
};

/// How many characters of a mistake are told.
const MAX_MISTAKE: usize = 200;

/// What a type URL begins with.
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// The memory of a value besides that of its text: the value itself, its key, and what the
/// allocator adds.
const VALUE_BYTES: usize = 128;

/// The types of all messages that may be written in JSON.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    for descriptors in [
        proto::FILE_DESCRIPTOR_SET,
        proto::health::FILE_DESCRIPTOR_SET,
        tonic_types::pb::FILE_DESCRIPTOR_SET,
    ] {
        let set = FileDescriptorSet::decode(descriptors).expect("generated descriptors decode");
        // Those of protobuf itself are in several of them.
        let known = |name: &str| pool.get_file_by_name(name).is_some();
        let new: Vec<_> = set
            .file
            .into_iter()
            .filter(|it| !known(it.name()))
            .collect();
        pool.add_file_descriptor_protos(new)
            .expect("generated descriptors are complete");
    }
    pool
});

/// The types of the RPCs, by the positions of their policies.
static TYPES: LazyLock<Vec<Option<Types>>> = LazyLock::new(|| {
    let mut types = vec![None; Policy::all().count()];
    for policy in Policy::all() {
        types[policy.index] = Types::find(policy);
    }
    types
});

/// The types of an RPC.
#[derive(Clone)]
pub(super) struct Types {
    pub(super) request: MessageDescriptor,
    pub(super) response: MessageDescriptor,
}

impl Types {
    /// The types of an RPC. `None` if its messages have no JSON: those of reflection.
    pub(super) fn of(policy: &Policy) -> Option<&'static Self> {
        TYPES.get(policy.index)?.as_ref()
    }

    fn find(policy: &Policy) -> Option<Self> {
        let service = POOL.get_service_by_name(policy.service())?;
        let method = service.methods().find(|it| it.name() == policy.method())?;
        Some(Self {
            request: method.input(),
            response: method.output(),
        })
    }
}

/// Reads a message.
pub(super) fn read(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, Draft> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer);
    message
        .and_then(|message| deserializer.end().map(|()| message))
        .map_err(|error| mistake(&error.to_string()))
}

/// The status of a call with a message that is not what it must be.
fn mistake(error: &str) -> Draft {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let error: String = error.chars().take(MAX_MISTAKE).map(printable).collect();
    let text = format!("the request is not the message of this method in JSON: {error}");
    status::refuse(Code::InvalidArgument, Reason::MalformedRequest, text)
}

/// Writes an encoded message.
pub(super) fn write(descriptor: &MessageDescriptor, message: Bytes) -> Option<Vec<u8>> {
    let message = DynamicMessage::decode(descriptor.clone(), message).ok()?;
    serde_json::to_vec(&message).ok()
}

/// A message as people read it, by its type URL. `None` for an unknown type.
pub(super) fn show(type_url: &str, message: &[u8]) -> Option<Value> {
    let descriptor = POOL.get_message_by_name(type_name(type_url))?;
    let message = DynamicMessage::decode(descriptor, message).ok()?;
    serde_json::to_value(&message).ok()
}

/// The full name of a type, by its URL.
pub(super) fn type_name(type_url: &str) -> &str {
    type_url.strip_prefix(TYPE_PREFIX).unwrap_or(type_url)
}

/// The memory of a message that a text becomes besides that of its texts. An entry of a list
/// takes two bytes of the text, and many times as much in memory, so that values are counted
/// before any is built.
pub(super) fn overhead(text: &[u8]) -> Result<usize, Draft> {
    let values = count(text);
    if values > codec::MAX_FIELDS {
        let text = codec::TOO_MANY_FIELDS;
        return Err(status::refuse(
            Code::InvalidArgument,
            Reason::InvalidRequest,
            text,
        ));
    }
    Ok(values * VALUE_BYTES)
}

/// How many values a text has at the most.
fn count(text: &[u8]) -> usize {
    let (mut values, mut is_string, mut is_escaped) = (1, false, false);
    for &byte in text {
        if is_escaped {
            is_escaped = false;
        } else if is_string {
            is_escaped = byte == b'\\';
            is_string = byte != b'"';
        } else {
            is_string = byte == b'"';
            values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CreateUserRequest;

    fn types(rpc: &str) -> &'static Types {
        Types::of(Policy::of_path(rpc).unwrap()).unwrap()
    }

    #[test]
    fn every_rpc_with_one_message_each_way_has_types() {
        for policy in Policy::all().filter(|policy| !policy.is_streaming) {
            assert!(Types::of(policy).is_some(), "{}", policy.name());
        }
    }

    #[test]
    fn a_message_is_read_by_either_name_of_a_field_and_durations_are_texts() {
        let types = types("/mesibo.v1.UserService/CreateUser");
        for text in [
            r#"{"address": "alice", "appId": "demo", "tokenExpiry": "3600s"}"#,
            r#"{"address": "alice", "app_id": "demo", "token_expiry": "3600s"}"#,
        ] {
            let message = read(&types.request, text.as_bytes()).unwrap();
            let message = CreateUserRequest::decode(&*message.encode_to_vec()).unwrap();
            assert_eq!(message.app_id, "demo");
            assert_eq!(message.token_expiry.unwrap().seconds, 3600);
        }
    }

    #[test]
    fn values_in_texts_are_not_counted_and_others_are() {
        let blank = " ".repeat(30_000);
        assert_eq!(count(format!("[{blank}]").as_bytes()), 2);
        assert_eq!(
            count(format!("{{\"a\": \"{blank},[{{\\\",\"}}").as_bytes()),
            2
        );
        let list = format!("[{}0]", "0,".repeat(20_000));
        assert_eq!(count(list.as_bytes()), 20_002);
    }
}
