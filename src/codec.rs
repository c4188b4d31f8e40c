//! The codec of the contract: protobuf, of which no message has more fields than any
//! message of the contract needs.
//!
//! An entry of a list takes two bytes of a message, and many times as much in memory, so a
//! limit on the bytes of messages alone does not bound what they become. Fields are
//! counted before anything is built from them.

use std::marker::PhantomData;

use bytes::Buf;
use prost::{
    Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Most fields of a message, entries of lists included. Lists of the contract have at most
/// 1,000 entries, and those that are somewhat longer still get a status that names them.
pub(crate) const MAX_FIELDS: usize = 10_000;

/// The text of the status of a message with more fields.
pub(crate) const TOO_MANY_FIELDS: &str =
    "the request has more than 10000 fields and entries of lists";

/// The codec of messages of the types `T`, which are encoded, and `U`, which are decoded.
#[derive(Debug)]
pub(crate) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// The decoder of messages of the type `U`.
#[derive(Debug)]
pub(crate) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if has_too_many_fields(buffer.chunk()) {
            return Err(Status::invalid_argument(TOO_MANY_FIELDS));
        }
        self.0.decode(buffer)
    }
}

/// Whether an encoded message has more than [`MAX_FIELDS`] fields. One that is no message
/// is for the decoder to refuse.
fn has_too_many_fields(mut message: &[u8]) -> bool {
    // A field has two bytes at least: most messages are too short to be counted.
    if message.len() <= 2 * MAX_FIELDS {
        return false;
    }
    for _ in 0..MAX_FIELDS {
        let skipped = decode_key(&mut message).and_then(|(tag, wire_type)| {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())
        });
        if skipped.is_err() || !message.has_remaining() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CreateGroupRequest;

    fn group(members: usize, name: &str) -> Vec<u8> {
        let request = CreateGroupRequest {
            members: vec![String::new(); members],
            name: Some(name.to_owned()),
            ..Default::default()
        };
        request.encode_to_vec()
    }

    #[test]
    fn a_message_has_so_many_fields_and_no_more() {
        let most = MAX_FIELDS - 1;
        for name in ["", &"x".repeat(1 << 20)] {
            assert!(!has_too_many_fields(&group(most, name)));
            assert!(has_too_many_fields(&group(most + 1, name)));
        }
        assert!(has_too_many_fields(&group(2_000_000, "")));
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        assert!(!has_too_many_fields(&[]));
        // A key of tag 0, and a length beyond the end.
        assert!(!has_too_many_fields(&vec![0; 30_000]));
        assert!(!has_too_many_fields(&vec![0x32; 29_999]));
    }
}
