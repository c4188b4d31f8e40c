//! Messages of types that are known at run time only.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// The codec of an RPC.
pub(super) struct DynamicCodec {
    response: MessageDescriptor,
}

/// The encoder of requests, which know their types.
pub(super) struct DynamicEncoder;

/// The decoder of responses.
pub(super) struct DynamicDecoder(MessageDescriptor);

impl DynamicCodec {
    pub(super) fn new(rpc: &MethodDescriptor) -> Self {
        Self {
            response: rpc.output(),
        }
    }
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        DynamicDecoder(self.response.clone())
    }
}

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), buffer);
        let unreadable = |error| Status::internal(format!("the response cannot be read: {error}"));
        message.map(Some).map_err(unreadable)
    }
}
